"""Shapes of every tensor of an ONNX graph, found without its weights and without running it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import onnx
from onnx import TensorProto, ValueInfoProto

from hwkd.core.errors import ModelFileError
from hwkd.trace.onnx_nodes import Node
from hwkd.trace.onnx_tensors import Constant, refuse_dtype

__all__ = ["infer_shapes", "static_inputs"]

# Shape operands (Reshape, Slice, Pad, Resize, ...) are short; longer constants are data, whose
# values no output shape depends on.
_LONGEST_SHAPE_OPERAND = 64
_MOST_ELEMENTS = 2**31


def static_inputs(graph: onnx.GraphProto, constants: Mapping[str, Constant], where: str) -> Inputs:
    """Return the shape and type of each real input, a symbolic batch set to 1.

    Raises:
        ModelFileError: on another symbolic dimension, on a batch other than 1 and on types that
            no runtime executes.
    """
    inputs = {}
    for value in graph.input:
        if value.name in constants:  # before IR version 4 weights are listed as inputs too
            continue
        what = f"{where}: input {value.name!r}"
        if not value.type.HasField("tensor_type"):
            raise ModelFileError(f"{what} is not a tensor; expected one of float32 or int8")
        tensor = value.type.tensor_type
        refuse_dtype(tensor.elem_type, what)
        inputs[value.name] = (_static_shape(tensor.shape, what), tensor.elem_type)
    if not inputs:
        raise ModelFileError(f"{where}: has no input; expected a network with at least one")
    return inputs


Inputs = dict[str, tuple[tuple[int, ...], int]]


def infer_shapes(
    nodes: list[Node],
    inputs: Inputs,
    constants: Mapping[str, Constant],
    opset: int,
    where: str,
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor: inputs, constants and what the nodes produce.

    Args:
        nodes: in execution order.
        inputs: name -> (shape, ONNX element type).
        constants: stored tensors by name; only short ones are read.
        opset: version of the default domain.
        where: the file's name, for messages.

    Raises:
        ModelFileError: if a shape depends on data, is larger than any device, or contradicts
            the operators.
    """
    model = _skeleton(nodes, inputs, constants, opset)
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise ModelFileError(f"{where}: shapes do not fit together: {_first_line(error)}") from None
    shapes = {name: shape for name, (shape, _) in inputs.items()}
    shapes |= {name: constant.shape for name, constant in constants.items()}
    for value in inferred.graph.value_info:
        tensor = value.type.tensor_type
        refuse_dtype(tensor.elem_type, f"{where}: tensor {value.name!r}")
        dims = tensor.shape.dim if tensor.HasField("shape") else None
        if dims is not None and all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    for node in nodes:
        _check_outputs(node, shapes, where)
    return shapes


def _skeleton(
    nodes: list[Node], inputs: Inputs, constants: Mapping[str, Constant], opset: int
) -> onnx.ModelProto:
    """Build a model of the same nodes whose data constants are inputs, so nothing is copied."""
    values = [_value(name, elem_type, shape) for name, (shape, elem_type) in inputs.items()]
    stored = []
    for name in sorted({name for node in nodes for name in node.inputs if name in constants}):
        constant = constants[name]
        kind = constant.proto.data_type
        is_short = constant.elements <= _LONGEST_SHAPE_OPERAND
        if is_short and kind in (TensorProto.INT64, TensorProto.FLOAT):
            stored.append(onnx.numpy_helper.from_array(constant.values(), name))
        else:
            is_data = kind not in (TensorProto.INT64, TensorProto.BOOL)
            # A dequantised weight is float to the operator that reads it.
            values.append(_value(name, TensorProto.FLOAT if is_data else kind, constant.shape))
    graph = onnx.helper.make_graph([node.proto for node in nodes], "shapes", values, [], stored)
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8
    )


def _static_shape(shape: onnx.TensorShapeProto, what: str) -> tuple[int, ...]:
    sizes: list[int | None] = [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in shape.dim
    ]
    if len(sizes) > 1 and sizes[0] is None:
        sizes[0] = 1
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes) or not sizes:
        shown = ", ".join(dim.dim_param or str(dim.dim_value or "?") for dim in shape.dim)
        raise ModelFileError(
            f"{what} has the dynamic shape ({shown}); only the batch may be symbolic: "
            "export the model with fixed sizes"
        )
    if len(known) > 1 and known[0] != 1:
        raise ModelFileError(
            f"{what} has a batch of {known[0]}; expected 1 or a symbolic batch: export it so"
        )
    return tuple(known)


def _check_outputs(node: Node, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    for name in node.outputs:
        if not name:
            continue
        shape = shapes.get(name)
        if shape is None and name == node.outputs[0]:
            raise ModelFileError(
                f"{where}: the shape of {name!r} (node {node.name!r}, {node.kind}) is not fixed; "
                "export the model with static shapes"
            )
        if shape is not None and prod(shape) >= _MOST_ELEMENTS:
            raise ModelFileError(
                f"{where}: tensor {name!r} of shape {shape} has {prod(shape):,} elements; "
                "no device that hwkd knows holds it"
            )


def _value(name: str, elem_type: int, shape: tuple[int, ...]) -> ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, elem_type, shape)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
