"""Turns one float ONNX node with quantised inputs and output into an integer operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from math import prod
from typing import TypeAlias

import numpy as np
import onnx

from hwkd.core.kinds import kind_of
from hwkd.core.registry import Registry
from hwkd.qgraph.encodings import dequantised
from hwkd.qgraph.ir import Binary, Float32Array, LayerNorm, QuantOp, Softmax, View
from hwkd.qgraph.moves import (
    convert_concat,
    convert_lookup,
    convert_pad,
    convert_resize,
    convert_slice,
    convert_view,
)
from hwkd.qgraph.pooling import PoolKind, convert_mean, convert_pool
from hwkd.qgraph.products import (
    convert_conv,
    convert_conv_transpose,
    convert_gemm,
    convert_matmul,
)
from hwkd.qgraph.segment import Range, Segment

_Converter: TypeAlias = Callable[[onnx.NodeProto, Segment, Range], list[QuantOp]]

# ONNX operator -> what makes integer operators of a node: node, segment, limits of the output.
CONVERTERS: Registry[_Converter] = Registry("operator with kernel")
# What a window has along the height where the file has it along time alone.
_FIRST_OF_PLANES = {"dilations": 1, "kernel_shape": 1, "output_padding": 0, "pads": 0, "strides": 1}
_POOLS: Mapping[str, PoolKind] = {
    "AveragePool": "average", "GlobalAveragePool": "global_average", "MaxPool": "max",
}  # fmt: skip


def convert_node(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return the operators for a segment's first node.

    Args:
        node: of a kind in `CONVERTERS`, or elementwise.
        limits: smallest and largest int8 output, from the ReLU behind it.

    Raises:
        ExportError: if the node uses something that has no kernel; it is named.
    """
    if node.op_type not in CONVERTERS:
        raise segment.refuse(
            node,
            "reads two tensors; of one tensor and scalars it is supported, of two only Add and Mul",
        )
    if kind_of(node.op_type).reads_channels and len(segment.tensor(node, 0).shape) == 3:
        return _on_planes(node, segment, limits)
    return CONVERTERS.get(node.op_type)(node, segment, limits)


def is_view(op_type: str) -> bool:
    """Tell whether an operator changes how values are indexed, and no value."""
    return op_type in CONVERTERS and CONVERTERS.get(op_type) is convert_view


def _on_planes(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return a window over time as one over planes of height 1."""
    source, target = segment.tensor(node, 0), segment.output
    planes = segment.new_tensor("planes", source, _plane_shape(source.shape))
    result = segment.new_tensor("result", target, _plane_shape(target.shape))
    flat = onnx.NodeProto()
    flat.CopyFrom(node)
    flat.input[0] = planes.name
    for item in flat.attribute:
        if item.name in _FIRST_OF_PLANES:
            before = _FIRST_OF_PLANES[item.name]
            given = list(item.ints)
            half = len(given) // 2
            item.ints[:] = (
                [before, *given[:half], before, *given[half:]] if half else [before, *given]
            )
    constants = dict(segment.constants)
    weights = constants.get(node.input[1]) if len(node.input) > 1 else None
    if weights is not None and weights.values.ndim == 3:
        values = weights.values[:, :, None, :]
        constants[node.input[1]] = replace(weights, values=values)
    inside = replace(
        segment, floats={**segment.floats, planes.name: planes.name}, constants=constants,
        output=result,
    )  # fmt: skip
    name = node.name or node.output[0]
    return [
        View(name=f"{name}_planes", inputs=(source.name,), output=planes.name),
        *CONVERTERS.get(node.op_type)(flat, inside, limits),
        View(name=f"{name}_time", inputs=(result.name,), output=target.name),
    ]


def _plane_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:2], 1, *shape[2:])


@CONVERTERS.register("Add")
@CONVERTERS.register("Mul")
def _binary(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    operands = [segment.tensor(node, 0), segment.tensor(node, 1)]
    if operands[0].shape != segment.output.shape:
        operands.reverse()
    whole, other = operands
    if whole.shape != segment.output.shape:
        raise segment.refuse(node, "both operands broadcast; one must have the output's shape")
    if other.shape != whole.shape and not _repeats(other.shape, whole.shape):
        raise segment.refuse(
            node, f"operand of shape {list(other.shape)}; equal shapes, one row or one value for "
            "each channel, or one value are supported"
        )  # fmt: skip
    return [
        Binary(
            name=node.name or node.output[0],
            inputs=(whole.name, other.name),
            output=segment.output.name,
            kind="add" if node.op_type == "Add" else "mul",
            output_range=limits,
        )
    ]


def _repeats(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Tell whether values that lie channels last are the others' again and again."""
    aligned = (1,) * (len(large) - len(small)) + small
    is_row = len(large) == 4 and aligned == (1, large[1], 1, large[3])
    return is_row or all(
        size == 1 or (axis == 1 and size == large[1]) for axis, size in enumerate(aligned)
    )


@CONVERTERS.register("Softmax")
def _softmax(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    segment.refuse_limits(node, limits)
    source = segment.tensor(node, 0)
    axis = segment.attribute(node, "axis", -1) % len(source.shape)
    return [
        Softmax(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=segment.output.name,
            axis=axis,
        )
    ]


@CONVERTERS.register("LayerNormalization")
def _layer_norm(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    segment.refuse_limits(node, limits)
    if any(node.output[1:]):
        raise segment.refuse(node, "gives its means and deviations, too; nothing may read them")
    source = segment.tensor(node, 0)
    axis = segment.attribute(node, "axis", -1) % len(source.shape)
    size = prod(source.shape[axis:])
    return [
        LayerNorm(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=segment.output.name,
            axis=axis,
            scales=_real_constant(node, segment, 1, size),
            shifts=_real_constant(node, segment, 2, size),
            epsilon=float(segment.attribute(node, "epsilon", 1e-5)),
        )
    ]


def _real_constant(
    node: onnx.NodeProto, segment: Segment, position: int, size: int
) -> Float32Array:
    """Return a constant operand as `size` real numbers; zeros where it is left out."""
    name = node.input[position] if position < len(node.input) else ""
    if not name:
        return np.zeros(size, np.float32)
    item = segment.constants.get(name)
    values = segment.arrays.get(name) if item is None else dequantised(item.values, item.encoding)
    if values is None or values.size != size:
        raise segment.refuse(node, f"its operand {name!r} is no constant of {size} values")
    return np.asarray(values, np.float32).reshape(-1)


for _name, _kind in _POOLS.items():
    CONVERTERS.register(_name)(partial(convert_pool, _kind))
for _name in ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"):
    CONVERTERS.register(_name)(convert_view)
CONVERTERS.register("Concat")(convert_concat)
CONVERTERS.register("Conv")(convert_conv)
CONVERTERS.register("ConvTranspose")(convert_conv_transpose)
CONVERTERS.register("Gemm")(convert_gemm)
CONVERTERS.register("GatherND")(convert_lookup)
CONVERTERS.register("MatMul")(convert_matmul)
CONVERTERS.register("Pad")(convert_pad)
CONVERTERS.register("ReduceMean")(convert_mean)
CONVERTERS.register("Resize")(convert_resize)
CONVERTERS.register("Slice")(convert_slice)
