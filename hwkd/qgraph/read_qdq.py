"""Reads a QDQ int8 ONNX file into the exporter's own graph, or says which node stands in the way.

Between a DequantizeLinear and the next QuantizeLinear lies a float segment. It becomes one integer
operator: convolution, sum, pooling, ... with a ReLU or ReLU6 as limits of the output, or, where the
segment is a function of one tensor alone, a table of its 256 values.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hwkd.core.errors import ExportError
from hwkd.core.kinds import DIGIT_BASES
from hwkd.qgraph.convert import CONVERTERS, convert_node, is_view
from hwkd.qgraph.elementwise import ELEMENTWISE, clip_limits, rescale_table, table_of
from hwkd.qgraph.encodings import Encoding, dequantised, quantised, read_encoding
from hwkd.qgraph.foreign_text import fresh_name
from hwkd.qgraph.ir import QuantGraph, QuantOp, QuantTensor, Table, View
from hwkd.qgraph.qdq_file import DEQUANTISE, QUANTISE, QdqFile, open_qdq
from hwkd.qgraph.segment import BYTE_OFFSETS, Constant, Segment
from hwkd.trace.node_label import node_label
from hwkd.trace.whole_numbers import MAKE_WHOLE

# Products and quotients of scales stay float32 numbers.
_SMALLEST_SCALE, _LARGEST_SCALE = 2.0**-40, 2.0**40


def read_qdq(path: Path) -> QuantGraph:
    """Read an int8 model made by static quantisation.

    Args:
        path: ONNX file in QDQ form: activations and weights of 8 bits.

    Raises:
        ModelFileError: if the file cannot be read.
        ExportError: if the model is float, has a dynamic shape, more than one input, or
            a node that has no C kernel; the message names the node.
    """
    return _Reader(open_qdq(path, {*CONVERTERS, *ELEMENTWISE, *MAKE_WHOLE})).graph()


class _Reader:
    """Walks the nodes in order and collects operators; used once."""

    def __init__(self, file: QdqFile) -> None:
        self._file = file
        self._origin = file.origin
        self._names = set(file.names)
        self._arrays = dict(file.arrays)
        self._floats: dict[str, str] = {}  # float tensor -> the int8 tensor that it dequantises
        self._bases: dict[str, int] = {}  # whole numbers, held as floats are -> what they end below
        self._constants: dict[str, Constant] = {}
        self._tensors: dict[str, QuantTensor] = {}
        self._codes: dict[str, Encoding] = {}  # int8 tensor -> how it was quantised
        self._read_as: dict[tuple[str, float, int], str] = {}  # with another encoding -> its view
        self._int8_constants: dict[str, np.ndarray[Any, np.dtype[np.int8]]] = {}
        self._open: dict[str, list[onnx.NodeProto]] = {}  # float tensor -> its unfinished segment
        self._ops: list[QuantOp] = []
        self._input = ""  # the int8 tensor that the input is quantised to

    def graph(self) -> QuantGraph:
        """Return the whole graph.

        Raises:
            ExportError: see `read_qdq`.
        """
        for node in self._file.nodes:
            if node.op_type == DEQUANTISE:
                self._dequantise(node)
            elif node.op_type == QUANTISE:
                self._quantise(node)
            elif node.input and node.input[0] in self._codes:
                self._between_integers(node)
            elif node.op_type in MAKE_WHOLE:
                self._make_whole(node)
            else:
                self._float_node(node)
        outputs = {name: self._output(name, of) for name, of in self._file.outputs.items()}
        if not self._input:
            raise ExportError(f"{self._origin}: no QuantizeLinear reads the input")
        return QuantGraph(
            ops=tuple(self._ops),
            tensors=self._tensors,
            constants=self._int8_constants,
            input=self._input,
            outputs=outputs,
        )

    def _output(self, name: str, source: str) -> str:
        """Return the int8 tensor behind an output of the file."""
        output = self._floats.get(source)
        if output is None:
            raise self._float_output(source)
        shape = self._tensors[output].shape
        if shape[:1] != (1,):
            raise ExportError(
                f"{self._origin}: output {name!r} of shape {list(shape)}, expected a first axis "
                "of 1, the batch"
            )
        return output

    def _refuse(self, node: onnx.NodeProto, reason: str) -> ExportError:
        return ExportError(f"{self._origin}: node {node_label(node)} ({node.op_type}): {reason}")

    def _shape(self, name: str, node: onnx.NodeProto) -> tuple[int, ...]:
        shape = self._file.shapes.get(name)
        if shape is None and name in self._arrays:
            shape = self._arrays[name].shape
        if shape is None:
            raise ExportError(
                f"{self._origin}: node {node_label(node)}: the shape of {name!r} "
                "cannot be inferred; export the model with static shapes"
            )
        return shape

    def _float_output(self, name: str) -> ExportError:
        node = next((node for node in self._file.nodes if name in node.output), None)
        if node is None or name in self._constants:
            return ExportError(
                f"{self._origin}: the output {name!r} does not depend on the input; expected a "
                "network"
            )
        if name in self._codes:
            return ExportError(
                f"{self._origin}: node {node_label(node)} gives the output as int8, expected "
                "DequantizeLinear behind it"
            )
        return ExportError(
            f"{self._origin}: node {node_label(node)} ({node.op_type}) gives the output as "
            "float, expected it between DequantizeLinear and QuantizeLinear; quantise it as well"
        )

    # Quantise and dequantise.

    def _dequantise(self, node: onnx.NodeProto) -> None:
        source, output = node.input[0], node.output[0]
        values, code = self._arrays.get(source), self._codes.get(source)
        if values is None and code is None:
            raise ExportError(
                f"{self._origin}: node {node_label(node)} reads {source!r}, which no "
                "QuantizeLinear writes; expected the QDQ form"
            )
        stored = None if code is None else code.dtype
        if values is not None:
            stored = values.dtype
        shape = self._shape(source, node)
        encoding = read_encoding(node, self._arrays, shape, self._origin, stored=stored)
        if values is not None:
            self._constants[output] = Constant(values=values, encoding=encoding)
            return
        tensor = self._activation(source, encoding, node)
        self._floats[output] = self._seen_with(tensor)

    def _seen_with(self, tensor: QuantTensor) -> str:
        """Return the tensor's name, or that of a view where it is read with other scales."""
        written = self._tensors[tensor.name]
        if (written.scale, written.zero_point) == (tensor.scale, tensor.zero_point):
            return written.name
        key = tensor.name, float(tensor.scale), tensor.zero_point
        if key not in self._read_as:
            name = self._fresh(f"{tensor.name}/rescaled")
            self._tensors[name] = replace(tensor, name=name)
            self._ops.append(View(name=name, inputs=(tensor.name,), output=name))
            self._read_as[key] = name
        return self._read_as[key]

    def _activation(self, name: str, encoding: Encoding, node: onnx.NodeProto) -> QuantTensor:
        """Return a tensor with one scale and 8 bits.

        Raises:
            ExportError: if it has several scales or other integers.
        """
        offset = BYTE_OFFSETS.get(encoding.dtype)
        if offset is None:
            raise ExportError(
                f"{self._origin}: node {node_label(node)}: {encoding.dtype} activations, expected "
                "8 bits; quantise with signed activations (QuantType.QInt8 in ONNX Runtime)"
            )
        if encoding.scale.size != 1:
            raise ExportError(
                f"{self._origin}: node {node_label(node)}: {encoding.scale.size} scales for one "
                "tensor of activations, expected one"
            )
        scale = np.float32(encoding.scale[0])
        if not _SMALLEST_SCALE <= scale <= _LARGEST_SCALE:
            raise self._refuse(
                node,
                f"a scale of {scale:g} for activations, expected {_SMALLEST_SCALE:.0e} to "
                f"{_LARGEST_SCALE:.0e}; quantise again with more calibration samples",
            )
        return QuantTensor(
            name=name,
            shape=self._shape(name, node),
            scale=scale,
            zero_point=int(encoding.zero_point[0]) - offset,
            file_offset=offset,
        )

    def _quantise(self, node: onnx.NodeProto) -> None:
        source, output = node.input[0], node.output[0]
        encoding = read_encoding(node, self._arrays, self._shape(source, node), self._origin)
        values = self._arrays.get(source)
        if source in self._constants:
            item = self._constants[source]
            values = dequantised(item.values, item.encoding)
        if values is not None:
            self._arrays[output] = quantised(values, encoding)
            return
        tensor = self._activation(output, encoding, node)
        self._codes[output] = encoding
        self._tensors[output] = tensor
        if source == self._file.input:
            self._quantise_input(tensor, node)
            return
        if source not in self._open and source not in self._floats:
            raise ExportError(
                f"{self._origin}: node {node_label(node)} quantises {source!r}, which is free"
            )
        nodes = self._open.get(source, [])
        self._ops += self._operators(nodes, source, tensor)

    def _quantise_input(self, tensor: QuantTensor, node: onnx.NodeProto) -> None:
        if not self._input:
            self._input = tensor.name
            return
        first = self._tensors[self._input]
        if (first.scale, first.zero_point) != (tensor.scale, tensor.zero_point):
            raise self._refuse(
                node, f"quantises the input with scale {tensor.scale:g}, another node with "
                f"{first.scale:g}; the C has one input, quantise it once"
            )  # fmt: skip
        self._ops.append(
            View(name=f"{tensor.name}/again", inputs=(first.name,), output=tensor.name)
        )

    def _make_whole(self, node: onnx.NodeProto) -> None:
        """Take what is made whole for what it was made of: a lookup reads the same integers."""
        source, output = self._floats.get(node.input[0]), node.output[0]
        if source is None or self._tensors[source].scale != 1:
            raise self._refuse(
                node, "makes whole numbers of what is not quantised in steps of 1; expected what a "
                "lookup reads"
            )  # fmt: skip
        if node.op_type == "Mod":
            base = self._arrays.get(node.input[1])
            if base is None or base.size != 1 or int(base.item()) not in DIGIT_BASES:
                raise self._refuse(
                    node, f"its divisor is none of {', '.join(map(str, DIGIT_BASES))}"
                )
            self._bases[output] = int(base.item())
        self._floats[output] = source

    def _between_integers(self, node: onnx.NodeProto) -> None:
        """Read a Clip of integers, as tools write narrow ranges and fewer bits than 8."""
        name, output = node.input[0], node.output[0]
        if node.op_type != "Clip":
            raise self._refuse(
                node, "works on integers between QuantizeLinear and DequantizeLinear; expected it "
                "in front of the one or behind the other"
            )  # fmt: skip
        source, limits = self._tensors[name], [-128, 127]
        for position, bound in enumerate(node.input[1:3]):
            if not bound:
                continue
            if bound not in self._arrays or self._arrays[bound].size != 1:
                raise self._refuse(node, f"its limit {bound!r} is not one constant number")
            limits[position] = int(self._arrays[bound].item()) - source.file_offset
        self._codes[output] = self._codes[name]
        self._tensors[output] = replace(source, name=output)
        steps = np.minimum(np.maximum(np.arange(-128, 128), limits[0]), limits[1])
        self._ops.append(
            Table(
                name=node.name or output, inputs=(name,), output=output, table=steps.astype(np.int8)
            )
        )

    # Float segments.

    def _float_node(self, node: onnx.NodeProto) -> None:
        """Append a float node to the segment that its inputs belong to."""
        if self._is_constant(node):
            self._constant_node(node)
            return
        parts: list[onnx.NodeProto] = []
        for name in node.input:
            if not name or name in self._arrays or name in self._constants:
                continue
            if name == self._file.input:
                raise ExportError(
                    f"{self._origin}: node {node_label(node)} ({node.op_type}) reads the float "
                    "input, expected QuantizeLinear first; quantise this node as well"
                )
            if name in self._codes:
                raise self._refuse(node, f"reads the integers {name!r}, expected floats")
            parts += [part for part in self._open.get(name, []) if part not in parts]
        self._open[node.output[0]] = [*parts, node]

    def _is_constant(self, node: onnx.NodeProto) -> bool:
        return all(
            not name or name in self._arrays or name in self._constants for name in node.input
        )

    def _constant_node(self, node: onnx.NodeProto) -> None:
        """Compute what a file does to its weights: limits of their integers, another order."""
        source, output = node.input[0] if node.input else "", node.output[0]
        if node.op_type == "Clip" and source in self._arrays:
            values = self._arrays[source]
            for bound, limit in zip(node.input[1:3], (np.maximum, np.minimum), strict=False):
                if bound:
                    values = limit(values, self._arrays[bound])
            self._arrays[output] = values
        elif node.op_type == "Transpose" and source in self._arrays:
            self._arrays[output] = self._arrays[source].transpose(_permutation(node))
        elif node.op_type == "Transpose" and source in self._constants:
            item, order = self._constants[source], _permutation(node)
            order = order or tuple(reversed(range(item.values.ndim)))
            axis = order.index(item.encoding.axis) if item.encoding.scale.size > 1 else 0
            self._constants[output] = Constant(
                values=item.values.transpose(order), encoding=replace(item.encoding, axis=axis)
            )
        elif is_view(node.op_type) and source in self._arrays:
            self._arrays[output] = self._arrays[source].reshape(self._shape(output, node))
        elif (
            is_view(node.op_type)
            and source in self._constants
            and self._constants[source].encoding.scale.size == 1
        ):
            item = self._constants[source]
            shape = self._shape(output, node)
            self._constants[output] = replace(item, values=item.values.reshape(shape))
        else:
            raise self._refuse(
                node, "computes constants from constants while the network runs; fold them before "
                "quantising"
            )  # fmt: skip

    def _operators(
        self, nodes: list[onnx.NodeProto], source: str, output: QuantTensor
    ) -> list[QuantOp]:
        segment = Segment(
            nodes=tuple(nodes),
            floats=self._floats,
            tensors=self._tensors,
            constants=self._constants,
            arrays=self._arrays,
            int8_constants=self._int8_constants,
            names=self._names,
            opsets=self._file.opsets,
            output=output,
            origin=self._origin,
            bases=self._bases,
        )
        dynamic = segment.dynamic_inputs if nodes else (self._floats[source],)
        is_elementwise = all(node.op_type in ELEMENTWISE for node in nodes)
        if len(dynamic) == 1 and is_elementwise and not segment.has_wide_constants:
            name = nodes[0].name or output.name if nodes else output.name
            table = table_of(segment, self._tensors[dynamic[0]])
            return [Table(name=name, inputs=dynamic, output=output.name, table=table)]
        head, tail = nodes[0], nodes[1:]
        limits = clip_limits(tail, segment)
        if limits is None:
            extra = next(node for node in tail if node.op_type not in ("Relu", "Clip"))
            raise self._refuse(
                extra, f"follows {head.name or head.op_type!r} without quantisation between them; "
                "only Relu and Clip can, quantise the output of others, too"
            )  # fmt: skip
        for first, second in pairwise(nodes):
            if second.input[0] != first.output[0]:
                raise self._refuse(second, "does not follow the operator that it belongs to")
        if is_view(head.op_type):
            return self._viewed(head, segment, limits)
        return convert_node(head, segment, limits)

    def _viewed(
        self, node: onnx.NodeProto, segment: Segment, limits: tuple[int, int]
    ) -> list[QuantOp]:
        """Return a view, and a table behind it where the far side has another scale or limits."""
        source, output = segment.tensor(node, 0), segment.output
        table = rescale_table(source, output)
        if table is None and limits == (-128, 127):
            return convert_node(node, segment, limits)
        moved = segment.new_tensor("moved", source, output.shape)
        values = np.arange(-128, 128).astype(np.int8) if table is None else table
        view = convert_node(node, replace(segment, output=moved), (-128, 127))
        rescaled = Table(
            name=f"{view[-1].name}_rescaled",
            inputs=(moved.name,),
            output=output.name,
            table=values.clip(*limits),
        )
        return [*view, rescaled]

    def _fresh(self, wanted: str) -> str:
        name = fresh_name(wanted, self._names)
        self._names.add(name)
        return name


def _permutation(node: onnx.NodeProto) -> tuple[int, ...] | None:
    """Return the order of axes that a Transpose asks for; None where it only reverses them."""
    return next((tuple(item.ints) for item in node.attribute if item.name == "perm"), None)
