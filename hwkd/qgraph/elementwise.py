"""Functions of one int8 tensor: the limits of a ReLU, or 256 values computed by ONNX Runtime.

A function of an int8 value has 256 results, so the C needs neither its formula nor its rounding:
ONNX Runtime runs the very nodes once over all inputs and the table is equal to it by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hwkd.inference.sessions import start_session
from hwkd.qgraph.ir import QuantTensor
from hwkd.qgraph.segment import Segment

ELEMENTWISE = frozenset({
    "Abs", "Add", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish",
    "LeakyRelu", "Log", "Mish", "Mul", "Neg", "Relu", "Sigmoid", "Sqrt", "Sub", "Tanh",
})  # fmt: skip

_Array = np.ndarray[Any, Any]
_Int8Array = np.ndarray[Any, np.dtype[np.int8]]


def clip_limits(nodes: Sequence[onnx.NodeProto], segment: Segment) -> tuple[int, int] | None:
    """Return the int8 limits that a tail of Relu and Clip puts on the segment's output.

    Returns:
        (smallest, largest), or None if another operator is among the nodes.
    """
    low, high = -np.inf, np.inf
    for node in nodes:
        if node.op_type == "Relu":
            low, high = max(low, 0.0), max(high, 0.0)
        elif node.op_type == "Clip":
            lower, upper = _bounds(node, segment)
            low, high = (min(max(limit, lower), upper) for limit in (low, high))
        else:
            return None
    return _to_int8(low, segment.output), _to_int8(high, segment.output)


def _bounds(node: onnx.NodeProto, segment: Segment) -> tuple[float, float]:
    """Return the limits of a Clip, infinite where it has none."""
    found = [-np.inf, np.inf]
    for position, name in enumerate(node.input[1:3]):
        if not name:
            continue
        value = segment.scalar(name)
        if value is None or np.isnan(value):
            raise segment.refuse(node, f"its limit {name!r} is not one constant number")
        found[position] = float(value)
    return found[0], found[1]


def _to_int8(value: float, tensor: QuantTensor) -> int:
    if np.isinf(value):
        return -128 if value < 0 else 127
    step = np.rint(np.float32(value) / tensor.scale) + tensor.zero_point
    return int(np.clip(step, -128, 127))


def rescale_table(source: QuantTensor, target: QuantTensor) -> _Int8Array | None:
    """Return the 256 values that carry `source`'s scale to `target`'s; None if they are equal."""
    if source.scale == target.scale and source.zero_point == target.zero_point:
        return None
    real = (np.arange(-128, 128) - source.zero_point).astype(np.float32) * source.scale
    steps = np.rint(real / target.scale) + target.zero_point
    return np.asarray(np.clip(steps, -128, 127), dtype=np.int8)


def table_of(segment: Segment, source: QuantTensor) -> _Int8Array:
    """Run a segment that reads one tensor over its 256 possible values.

    Args:
        segment: nodes that are all elementwise; none for a change of scale.

    Raises:
        ExportError: if a constant operand is not a scalar.
    """
    if not segment.nodes:
        table = rescale_table(source, segment.output)
        return np.arange(-128, 128).astype(np.int8) if table is None else table
    if prod(source.shape) != prod(segment.output.shape):
        raise segment.refuse(
            segment.nodes[-1], f"shape {list(source.shape)} becomes {list(segment.output.shape)}"
        )
    nodes, constants = _scalar_nodes(segment)
    model = _table_model(nodes, constants, source, segment)
    steps = (np.arange(-128, 128) + source.file_offset).astype(_file_type(source))
    try:
        (found,) = start_session(model.SerializeToString(), says="nothing").run(None, {"q": steps})
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        raise segment.refuse(
            segment.nodes[-1], f"ONNX Runtime does not compute it by itself ({error})"
        ) from error
    return np.asarray(found.astype(np.int16) - segment.output.file_offset).astype(np.int8)


def _file_type(tensor: QuantTensor) -> type[np.signedinteger[Any] | np.unsignedinteger[Any]]:
    return np.uint8 if tensor.file_offset else np.int8


def _scalar_nodes(segment: Segment) -> tuple[list[onnx.NodeProto], dict[str, _Array]]:
    """Return copies of the nodes that read "x" instead of the tensor, and their constants.

    A quantised constant stays one, for ONNX Runtime's kernels round otherwise with a float. Names
    of the file get a prefix, so that none is "x".
    """
    constants: dict[str, _Array] = {}
    dequantised: list[onnx.NodeProto] = []
    nodes = []
    for node in segment.nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.output[:] = [f"file/{name}" for name in node.output]
        for position, name in enumerate(node.input):
            if not name:
                continue
            own = copy.input[position] = f"file/{name}"
            item, value = segment.quantised_scalar(name), segment.scalar(name)
            if item is not None:
                parts = {
                    f"{own}.steps": item.values.reshape(()),
                    f"{own}.scale": item.encoding.scale[0],
                    f"{own}.zero": item.encoding.zero_point[0],
                }
                if not parts.keys() <= constants.keys():
                    dequantised.append(helper.make_node("DequantizeLinear", [*parts], [own]))
                constants.update(parts)
            elif value is not None:
                constants[own] = np.asarray(value)
            elif name in segment.floats:
                copy.input[position] = "x"
            elif name in segment.arrays:
                shape = list(segment.arrays[name].shape)
                raise segment.refuse(
                    node, f"float operand of shape {shape}; quantise it, too, or use a scalar"
                )
        nodes.append(copy)
    return [*dequantised, *nodes], constants


def _table_model(
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, _Array],
    source: QuantTensor,
    segment: Segment,
) -> onnx.ModelProto:
    target = segment.output
    types = [helper.np_dtype_to_tensor_dtype(np.dtype(_file_type(end))) for end in (source, target)]
    arrays = {
        "x_scale": np.float32(source.scale),
        "x_zero": _file_type(source)(source.zero_point + source.file_offset),
        "y_scale": np.float32(target.scale),
        "y_zero": _file_type(target)(target.zero_point + target.file_offset),
        **constants,
    }
    ends = (
        helper.make_node("DequantizeLinear", ["q", "x_scale", "x_zero"], ["x"]),
        helper.make_node("QuantizeLinear", [nodes[-1].output[0], "y_scale", "y_zero"], ["y"]),
    )
    graph = helper.make_graph(
        [ends[0], *nodes, ends[1]],
        "table",
        [helper.make_tensor_value_info("q", types[0], (256,))],
        [helper.make_tensor_value_info("y", types[1], (256,))],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=segment.opsets, ir_version=9)
