"""Shapes of every tensor of an ONNX graph, found without its weights and without running it.

One pass in execution order. Every size is known on the way, so what exporters compute about shapes
(the target of a reshape, the amounts of a pad) is a number that the next operator can read.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence, Set
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, ValueInfoProto
from onnx.reference import ReferenceEvaluator

from hwkd.core.errors import ModelFileError, first_line
from hwkd.trace.onnx_dtypes import refuse_dtype
from hwkd.trace.onnx_inputs import FixedInput
from hwkd.trace.onnx_nodes import Node
from hwkd.trace.onnx_tensors import Constant

# (ONNX element type, shape)
TensorType = tuple[int, tuple[int, ...]]
_Array = NDArray[Any]

# Shape operands (Reshape, Slice, Pad, Resize, ...) are short; longer constants are data, whose
# values no output shape depends on.
_LONGEST_SHAPE_OPERAND = 1024
_MOST_ELEMENTS = 2**31
# Their output has a fixed value once shapes are fixed, whatever their input holds.
SHAPE_READERS = frozenset({"Shape", "Size"})
# What exporters compute about shapes with; each is bounded by the sizes of its operands.
_SHAPE_ARITHMETIC = frozenset(
    {
        "Abs", "Add", "And", "Cast", "Ceil", "Concat", "ConstantOfShape", "CumSum", "Div", "Equal",
        "Expand", "Flatten", "Floor", "Gather", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
        "Max", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "Or", "Range", "ReduceMax",
        "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "ScatterND", "Slice", "Split", "Sqrt",
        "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
# Operators that onnx defines without saying their shape: the output is like the first input.
_LIKE_INPUT = frozenset({"GroupNormalization", "MeanVarianceNormalization"})


def infer_types(
    nodes: Sequence[Node],
    inputs: Sequence[FixedInput],
    constants: Mapping[str, Constant],
    dequantised: Set[str],
    declared: Mapping[str, TensorType],
    opset: int,
    where: str,
) -> dict[str, TensorType]:
    """Return element type and shape of every tensor: inputs, constants and what the nodes produce.

    Args:
        nodes: in execution order.
        constants: stored tensors by name; only short ones are read.
        dequantised: constants that operators see as float.
        declared: what the file itself says about tensors in between, used where onnx knows nothing.
        opset: version of the default domain.
        where: the file's name, for messages.

    Raises:
        ModelFileError: if a shape depends on data, is empty, is larger than any device, or
            contradicts the operators.
    """
    known = _Known(constants, dequantised, opset)
    known.types.update({item.name: (item.elem_type, item.shape) for item in inputs})
    for name, (_, shape) in list(known.types.items()):
        if name not in constants:
            _check_size(name, shape, f"{where}: input {name!r}")
    for node in nodes:
        what = f"{where}: node {node.name!r} ({node.kind})"
        for name, value_type in known.outputs_of(node, what).items():
            found = _tensor_type(value_type, name, what)
            if found is None and not known.can_infer(node):
                found = declared.get(name)
            if found is not None:
                refuse_dtype(found[0], f"{what}: tensor {name!r}")
                known.types[name] = found
        known.fold(node)
        for index, name in enumerate(node.outputs):
            if name and name not in known.types and (index == 0 or not node.outputs[0]):
                raise ModelFileError(
                    f"{where}: the shape of {name!r} (node {node.name!r}, {node.kind}) is not "
                    "fixed; export the model with static shapes"
                )
            if name in known.types and name not in known.values:
                _check_size(name, known.types[name][1], what)
    return known.types


class _Known:
    """What is known about the tensors that exist so far."""

    def __init__(
        self, constants: Mapping[str, Constant], dequantised: Set[str], opset: int
    ) -> None:
        self._opset = opset
        self.types: dict[str, TensorType] = {}
        self.values: dict[str, _Array] = {}
        for name, constant in constants.items():
            # A quantised weight is float to the operator that reads it.
            kind = TensorProto.FLOAT if name in dequantised else constant.proto.data_type
            self.types[name] = (kind, constant.shape)
            if constant.elements <= _LONGEST_SHAPE_OPERAND and name not in dequantised:
                self.values[name] = constant.values()

    def outputs_of(self, node: Node, what: str) -> dict[str, onnx.TypeProto]:
        """Let onnx infer the outputs of one node from what is known of its inputs."""
        model = self._model_of(node)
        try:
            model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        except onnx.shape_inference.InferenceError as error:
            raise ModelFileError(
                f"{what}: shapes do not fit together: {first_line(error)}"
            ) from None
        found = {value.name: value.type for value in model.graph.value_info}
        first = node.outputs[0]
        if node.kind in _LIKE_INPUT and first not in found:
            elem_type, shape = self.types[node.inputs[0]]
            found[first] = onnx.helper.make_tensor_type_proto(elem_type, shape)
        return {name: found.get(name, onnx.TypeProto()) for name in node.outputs if name}

    def can_infer(self, node: Node) -> bool:
        """Tell whether onnx knows how the shape follows; if so, an unknown one depends on data."""
        schema = onnx.defs.get_schema(node.kind, self._opset)
        return bool(schema.has_type_and_shape_inference_function) or node.kind in _LIKE_INPUT

    def fold(self, node: Node) -> None:
        """Work out the outputs of a node that computes about shapes."""
        if node.kind in SHAPE_READERS:
            shape = np.array(self.types[node.inputs[0]][1], np.int64)
            start, end = node.attributes.get("start", 0), node.attributes.get("end", len(shape))
            value = shape[start:end] if node.kind == "Shape" else np.prod(shape, dtype=np.int64)
            self._keep(node.outputs[0], np.asarray(value))
            return
        names = [name for name in node.inputs if name]
        if node.kind not in _SHAPE_ARITHMETIC or not all(name in self.values for name in names):
            return
        for name in node.outputs:
            if name in self.types and prod(self.types[name][1]) > _LONGEST_SHAPE_OPERAND:
                return
        model = self._model_of(node)
        for name in node.outputs:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                results = ReferenceEvaluator(model).run(None, {})
        except Exception:  # NumPy's and onnx's own, of any class: what it would be is not known
            return
        for name, result in zip(node.outputs, results, strict=True):
            if isinstance(result, np.ndarray | np.generic):
                self._keep(name, np.asarray(result))

    def _keep(self, name: str, value: _Array) -> None:
        elem_type = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        self.types[name] = (elem_type, value.shape)
        if value.size <= _LONGEST_SHAPE_OPERAND:
            self.values[name] = value

    def _model_of(self, node: Node) -> onnx.ModelProto:
        names = dict.fromkeys(name for name in node.inputs if name)
        graph = onnx.helper.make_graph(
            [node.proto], "node",
            [_value(name, *self.types[name]) for name in names if name not in self.values],
            [],
            [
                onnx.numpy_helper.from_array(self.values[name], name)
                for name in names if name in self.values
            ],
        )  # fmt: skip
        return onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", self._opset)], ir_version=8
        )


def _tensor_type(value: onnx.TypeProto, name: str, what: str) -> TensorType | None:
    """Return a tensor's type; None when the shape is not known."""
    kind = value.WhichOneof("value")
    if kind not in (None, "tensor_type"):
        raise ModelFileError(
            f"{what} gives {name!r}, a {str(kind).removesuffix('_type')} and no tensor; costs are "
            "of tensors: export the model without it"
        )
    tensor = value.tensor_type
    if tensor.elem_type:
        refuse_dtype(tensor.elem_type, f"{what}: tensor {name!r}")
    if not tensor.HasField("shape") or not tensor.elem_type:
        return None
    dims = tensor.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        return None
    return tensor.elem_type, tuple(dim.dim_value for dim in dims)


def _check_size(name: str, shape: tuple[int, ...], what: str) -> None:
    if any(size < 1 for size in shape):
        raise ModelFileError(
            f"{what}: tensor {name!r} of shape {shape} holds nothing; costs are of tensors with "
            "values: check the sizes of the export"
        )
    if prod(shape) >= _MOST_ELEMENTS:
        raise ModelFileError(
            f"{what}: tensor {name!r} of shape {shape} has {prod(shape):,} elements; "
            "no device that hwkd knows holds it"
        )


def _value(name: str, elem_type: int, shape: tuple[int, ...]) -> ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, elem_type, shape)
