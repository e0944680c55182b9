"""Reads a QDQ int8 ONNX file into the exporter's own graph, or says which node stands in the way.

Between a DequantizeLinear and the next QuantizeLinear lies a float segment. It becomes one integer
operator: convolution, sum, pooling, ... with a ReLU or ReLU6 as limits of the output, or, where the
segment is a function of one tensor alone, a table of its 256 values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types
from onnx import numpy_helper

from hwkd.core.errors import ExportError, ModelFileError
from hwkd.deploy.to_c.convert import SUPPORTED, VIEWS, convert_node
from hwkd.deploy.to_c.elementwise import ELEMENTWISE, clip_limits, rescale_table, table_of
from hwkd.deploy.to_c.foreign_text import fresh_name
from hwkd.deploy.to_c.ir import Op, QuantGraph, QuantTensor, Table
from hwkd.deploy.to_c.segment import Constant, Segment

__all__ = ["read_qdq"]

# Before it, limits of Clip and sizes of Pad are attributes.
_OLDEST_OPSET = 11
# From it on, a softmax runs along one axis; before, over all behind it.
_SOFTMAX_OPSET = 13
_ONNX = ("", "ai.onnx")
_QUANTISE, _DEQUANTISE = "QuantizeLinear", "DequantizeLinear"


def read_qdq(path: Path) -> QuantGraph:
    """Read an int8 model made by static quantisation.

    Args:
        path: ONNX file in QDQ form: int8 activations, int8 weights with zero point 0.

    Raises:
        ModelFileError: if the file cannot be read.
        ExportError: if the model is float, has a dynamic shape, more than one input or output, or
            a node that has no C kernel; the message names the node.
    """
    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as error:
        raise ModelFileError(
            f"{path}: not a readable ONNX file; give an int8 .onnx file"
        ) from error
    return _Reader(_with_static_shapes(model, path), str(path)).graph()


def _with_static_shapes(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Return the model with a symbolic batch set to 1 and every tensor's shape inferred."""
    constants = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    if len(model.graph.input) != 1 or len(model.graph.output) != 1:
        raise ExportError(
            f"{path}: {len(model.graph.input)} inputs and {len(model.graph.output)} outputs, "
            "expected one of each; the C has one input and one output buffer"
        )
    dims = model.graph.input[0].type.tensor_type.shape.dim
    if dims and dims[0].dim_param:
        dims[0].dim_value = 1
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
    if not sizes or sizes[0] != 1 or not all(sizes):
        shown = "x".join("?" if size is None else str(size) for size in sizes)
        raise ExportError(
            f"{path}: input shape {shown or '?'}, expected a batch of 1 and fixed sizes; "
            "export the model with a static shape"
        )
    del model.graph.value_info[:]
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


class _Reader:
    """Walks the nodes in order and collects operators; used once."""

    def __init__(self, model: onnx.ModelProto, origin: str) -> None:
        self._model = model
        self._origin = origin
        self._floats: dict[str, str] = {}  # float tensor -> the int8 tensor that it dequantises
        self._constants: dict[str, Constant] = {}
        self._tensors: dict[str, QuantTensor] = {}
        self._int8_constants: dict[str, np.ndarray[Any, np.dtype[np.int8]]] = {}
        self._open: dict[str, list[onnx.NodeProto]] = {}  # float tensor -> its unfinished segment
        self._ops: list[Op] = []
        self._arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._arrays[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self._shapes = _shapes(model)

    def graph(self) -> QuantGraph:
        """Return the whole graph.

        Raises:
            ExportError: see `read_qdq`.
        """
        kinds = {node.op_type for node in self._model.graph.node}
        if _QUANTISE not in kinds:
            raise ExportError(
                f"{self._origin}: a float model, expected int8 (QDQ); quantise it first, "
                "`hwkd export` writes model_int8.onnx"
            )
        self._refuse_unknown_kinds()
        self._refuse_old_operators()
        for node in self._model.graph.node:
            if node.op_type == _DEQUANTISE:
                self._dequantise(node)
            elif node.op_type == _QUANTISE:
                self._quantise(node)
            elif node.op_type != "Constant":
                self._float_node(node)
        output = self._floats.get(self._model.graph.output[0].name)
        if output is None:
            self._refuse_float_output()
        assert output is not None
        return QuantGraph(
            ops=tuple(self._ops),
            tensors=self._tensors,
            constants=self._int8_constants,
            input=self._input_name(),
            output=output,
        )

    def _refuse_unknown_kinds(self) -> None:
        known = SUPPORTED | ELEMENTWISE | {_QUANTISE, _DEQUANTISE, "Constant"}
        for node in self._model.graph.node:
            if node.op_type not in known:
                raise ExportError(
                    f"{self._origin}: node {node.name or node.output[0]!r}: no C kernel for "
                    f"{node.op_type}; supported: {', '.join(sorted(SUPPORTED | ELEMENTWISE))}"
                )

    def _refuse_old_operators(self) -> None:
        opset = next(item.version for item in self._model.opset_import if item.domain in _ONNX)
        if opset < _OLDEST_OPSET:
            raise ExportError(
                f"{self._origin}: opset {opset}, expected {_OLDEST_OPSET} or newer; export the "
                "model again"
            )
        for node in self._model.graph.node:
            if node.op_type != "Softmax" or opset >= _SOFTMAX_OPSET:
                continue
            axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
            last = len(self._shape(node.input[0], node)) - 1
            if axis not in (-1, last):
                raise ExportError(
                    f"{self._origin}: node {node.name or node.output[0]!r} (Softmax): axis {axis} "
                    f"of opset {opset} runs over several axes; export with opset {_SOFTMAX_OPSET}"
                )

    def _shape(self, name: str, node: onnx.NodeProto) -> tuple[int, ...]:
        shape = self._shapes.get(name)
        if shape is None:
            raise ExportError(
                f"{self._origin}: node {node.name or node.output[0]!r}: the shape of {name!r} "
                "cannot be inferred; export the model with static shapes"
            )
        return shape

    def _refuse_float_output(self) -> None:
        name = self._model.graph.output[0].name
        node = next(node for node in self._model.graph.node if name in node.output)
        if name in self._tensors:
            raise ExportError(
                f"{self._origin}: node {node.name or name!r} gives the output as int8, expected "
                "DequantizeLinear behind it"
            )
        raise ExportError(
            f"{self._origin}: node {node.name or name!r} ({node.op_type}) gives the output as "
            "float, expected it between DequantizeLinear and QuantizeLinear; quantise it as well"
        )

    def _input_name(self) -> str:
        written = {op.output for op in self._ops} | set(self._int8_constants)
        free = [name for name in self._tensors if name not in written]
        if len(free) != 1:
            raise ExportError(
                f"{self._origin}: {len(free)} tensors are quantised from the input, expected one"
            )
        return free[0]

    def _dequantise(self, node: onnx.NodeProto) -> None:
        source, output = node.input[0], node.output[0]
        scale, zero = self._quantisation(node)
        if source not in self._arrays:
            self._floats[output] = self._known(source, node)
            return
        axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
        self._constants[output] = Constant(
            values=self._arrays[source], scale=scale.reshape(-1), zero_point=zero, axis=axis
        )

    def _known(self, source: str, node: onnx.NodeProto) -> str:
        tensor = self._tensors.get(source)
        if tensor is None:
            raise ExportError(
                f"{self._origin}: node {node.name or node.output[0]!r} reads {source!r}, which no "
                "QuantizeLinear writes; expected the QDQ form"
            )
        return source

    def _quantise(self, node: onnx.NodeProto) -> None:
        source, output = node.input[0], node.output[0]
        scale, zero = self._quantisation(node)
        if zero.dtype != np.int8:
            raise ExportError(
                f"{self._origin}: node {node.name or output!r}: {zero.dtype} activations, expected "
                "int8; quantise with signed activations (QuantType.QInt8 in ONNX Runtime)"
            )
        if scale.size != 1:
            raise ExportError(
                f"{self._origin}: node {node.name or output!r}: {scale.size} scales for one "
                "tensor of activations, expected one"
            )
        tensor = QuantTensor(
            name=output,
            shape=self._shape(source, node),
            scale=np.float32(scale.reshape(())),
            zero_point=int(zero.reshape(())),
        )
        self._tensors[output] = tensor
        if source == self._model.graph.input[0].name:
            return
        if source in self._constants or source in self._arrays:
            self._constant_tensor(source, tensor)
            return
        self._ops += self._operators(self._segment(source, node), tensor)

    def _constant_tensor(self, source: str, tensor: QuantTensor) -> None:
        values = self._arrays[source].astype(np.float32)
        steps = np.rint(values / tensor.scale) + tensor.zero_point
        self._int8_constants[tensor.name] = np.clip(steps, -128, 127).astype(np.int8)

    def _segment(self, source: str, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        if source in self._open:
            return self._open[source]
        if source in self._floats:
            return []
        raise ExportError(f"{self._origin}: node {node.name!r} quantises {source!r}, which is free")

    def _float_node(self, node: onnx.NodeProto) -> None:
        """Append a float node to the segment that its inputs belong to."""
        parts: list[onnx.NodeProto] = []
        for name in node.input:
            if not name or name in self._arrays or name in self._constants:
                continue
            if name == self._model.graph.input[0].name:
                raise ExportError(
                    f"{self._origin}: node {node.name!r} ({node.op_type}) reads the float input, "
                    "expected QuantizeLinear first"
                )
            parts += [part for part in self._open.get(name, []) if part not in parts]
        self._open[node.output[0]] = [*parts, node]

    def _operators(self, nodes: list[onnx.NodeProto], output: QuantTensor) -> list[Op]:
        source = None if nodes else self._requantised(output)
        segment = Segment(
            nodes=tuple(nodes),
            floats=self._floats,
            tensors=self._tensors,
            constants=self._constants,
            arrays=self._arrays,
            int8_constants=self._int8_constants,
            output=output,
            origin=self._origin,
        )
        dynamic = (source,) if source else segment.dynamic_inputs
        is_elementwise = all(node.op_type in ELEMENTWISE for node in nodes)
        if len(dynamic) == 1 and is_elementwise and not segment.has_wide_constants:
            name = nodes[0].name or output.name if nodes else output.name
            table = table_of(segment, self._tensors[dynamic[0]])
            return [Table(name=name, inputs=dynamic, output=output.name, table=table)]
        head, tail = nodes[0], nodes[1:]
        limits = clip_limits(tail, segment)
        if limits is None:
            extra = next(node for node in tail if node.op_type not in ("Relu", "Clip"))
            raise ExportError(
                f"{self._origin}: node {extra.name or extra.output[0]!r} ({extra.op_type}) follows "
                f"{head.name or head.op_type!r} without quantisation between them; only Relu and "
                "Clip can, quantise the output of others, too"
            )
        if head.op_type in VIEWS:
            return self._viewed(head, segment, limits)
        return [convert_node(head, segment, limits)]

    def _viewed(self, node: onnx.NodeProto, segment: Segment, limits: tuple[int, int]) -> list[Op]:
        """Return a view, and a table behind it where the far side has another scale or limits."""
        source, output = segment.tensor(node, 0), segment.output
        table = rescale_table(source, output)
        if table is None and limits == (-128, 127):
            return [convert_node(node, segment, limits)]
        taken = {name for written in self._model.graph.node for name in written.output}
        name = fresh_name(f"{output.name}/moved", taken)
        moved = replace(source, name=name, shape=output.shape)
        self._tensors[moved.name] = moved
        values = np.arange(-128, 128).astype(np.int8) if table is None else table
        view = convert_node(node, replace(segment, output=moved), (-128, 127))
        rescaled = Table(
            name=f"{view.name}_rescaled",
            inputs=(moved.name,),
            output=output.name,
            table=values.clip(*limits),
        )
        return [view, rescaled]

    def _requantised(self, output: QuantTensor) -> str:
        node = next(node for node in self._model.graph.node if output.name in node.output)
        return self._floats[node.input[0]]

    def _quantisation(self, node: onnx.NodeProto) -> tuple[np.ndarray[Any, Any], Any]:
        try:
            scale = self._arrays[node.input[1]].astype(np.float32)
            if len(node.input) < 3 or not node.input[2]:
                return scale, np.zeros(scale.shape, np.uint8)
            return scale, self._arrays[node.input[2]]
        except (KeyError, IndexError) as error:
            raise ExportError(
                f"{self._origin}: node {node.name!r}: its scale and zero point are not constants; "
                "use static quantisation"
            ) from error


def _shapes(model: onnx.ModelProto) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of every tensor whose dimensions are all known."""
    shapes = {}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if all(dim.dim_value > 0 for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    shapes.update({item.name: tuple(item.dims) for item in model.graph.initializer})
    return shapes
