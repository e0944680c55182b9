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
from hwkd.qgraph.elementwise import rescale_table
from hwkd.qgraph.encodings import dequantised
from hwkd.qgraph.interpolation import convert_linear
from hwkd.qgraph.ir import (
    Binary,
    Concat,
    Conv,
    ConvTranspose,
    Float32Array,
    FullyConnected,
    LayerNorm,
    MatMul,
    Pad,
    QuantOp,
    Slice,
    Softmax,
    Upsample,
    View,
)
from hwkd.qgraph.pooling import PoolKind, convert_mean, convert_pool, window_pads
from hwkd.qgraph.segment import Segment
from hwkd.qgraph.weighted import read_bias, read_weights
from hwkd.trace.repeats import REPEATS_ONLY, repeats

_Range: TypeAlias = tuple[int, int]
_Converter: TypeAlias = Callable[[onnx.NodeProto, Segment, _Range], list[QuantOp]]

# ONNX operator -> what makes integer operators of a node: node, segment, limits of the output.
CONVERTERS: Registry[_Converter] = Registry("operator with kernel")
# What a window has along the height where the file has it along time alone.
_FIRST_OF_PLANES = {"dilations": 1, "kernel_shape": 1, "output_padding": 0, "pads": 0, "strides": 1}
_POOLS: Mapping[str, PoolKind] = {
    "AveragePool": "average", "GlobalAveragePool": "global_average", "MaxPool": "max",
}  # fmt: skip


def convert_node(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
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
    return op_type in CONVERTERS and CONVERTERS.get(op_type) is _view


def _on_planes(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
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


@CONVERTERS.register("Conv")
def _conv(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    weights = read_weights(node, segment, axis=0)
    rank = weights.values.ndim
    source = segment.tensor(node, 0)
    if rank != 4 or len(source.shape) != 4:
        raise segment.refuse(node, f"{rank - 2}-D convolution; 1-D and 2-D are supported")
    kernel = weights.values.shape[2:]
    return [
        Conv(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=segment.output.name,
            weights=weights.values,
            weight_scales=weights.scales,
            weight_zeros=weights.zeros,
            bias=read_bias(node, segment, source, weights.scales),
            output_range=limits,
            stride=tuple(segment.attribute(node, "strides", (1, 1))),
            pads=window_pads(node, segment, source.shape[2:], kernel),
            dilation=tuple(segment.attribute(node, "dilations", (1, 1))),
            groups=segment.attribute(node, "group", 1),
        )
    ]


@CONVERTERS.register("ConvTranspose")
def _conv_transpose(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    weights = read_weights(node, segment, axis=1)
    source = segment.tensor(node, 0)
    if weights.values.ndim != 4 or len(source.shape) != 4:
        raise segment.refuse(node, "a transposed convolution of one or two dimensions is supported")
    for name, expected in (
        ("group", 1), ("auto_pad", "NOTSET"), ("dilations", [1, 1]), ("output_shape", None),
    ):  # fmt: skip
        if segment.attribute(node, name, expected) != expected:
            raise segment.refuse(node, f"{name} other than {expected or 'none'}")
    if weights.zeros is not None:
        raise segment.refuse(node, "a zero point of weights other than 0")
    pads = segment.attribute(node, "pads", (0, 0, 0, 0))
    return [
        ConvTranspose(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=segment.output.name,
            weights=np.ascontiguousarray(weights.values.swapaxes(0, 1)),
            weight_scales=weights.scales,
            bias=read_bias(node, segment, source, weights.scales),
            output_range=limits,
            stride=tuple(segment.attribute(node, "strides", (1, 1))),
            cut=(pads[0], pads[1]),
        )
    ]


@CONVERTERS.register("Gemm")
def _gemm(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    for name, expected in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        if segment.attribute(node, name, expected) != expected:
            raise segment.refuse(node, f"{name} is not {expected}")
    transposed = bool(segment.attribute(node, "transB", 0))
    weights = read_weights(node, segment, axis=0 if transposed else 1)
    source = segment.tensor(node, 0)
    return [
        FullyConnected(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=segment.output.name,
            weights=np.ascontiguousarray(weights.values if transposed else weights.values.T),
            weight_scales=weights.scales,
            weight_zeros=weights.zeros,
            bias=read_bias(node, segment, source, weights.scales),
            output_range=limits,
        )
    ]


@CONVERTERS.register("MatMul")
def _matmul(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    constant = segment.constants.get(node.input[1])
    if constant is not None and constant.values.ndim == 2:
        weights = read_weights(node, segment, axis=1)
        return [
            FullyConnected(
                name=node.name or node.output[0],
                inputs=(segment.tensor(node, 0).name,),
                output=segment.output.name,
                weights=np.ascontiguousarray(weights.values.T),
                weight_scales=weights.scales,
                weight_zeros=weights.zeros,
                bias=np.zeros(weights.scales.size, np.int32),
                output_range=limits,
            )
        ]
    left, right = segment.tensor(node, 0), segment.tensor(node, 1)
    if left.shape[:-2] != right.shape[:-2] or len(left.shape) < 2:
        raise segment.refuse(
            node, f"shapes {list(left.shape)} and {list(right.shape)}; leading axes must be equal"
        )
    _refuse_limits(node, segment, limits)
    return [
        MatMul(
            name=node.name or node.output[0],
            inputs=(left.name, right.name),
            output=segment.output.name,
        )
    ]


@CONVERTERS.register("Add")
@CONVERTERS.register("Mul")
def _binary(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
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
def _softmax(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    _refuse_limits(node, segment, limits)
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


@CONVERTERS.register("Flatten")
@CONVERTERS.register("Reshape")
@CONVERTERS.register("Squeeze")
@CONVERTERS.register("Transpose")
@CONVERTERS.register("Unsqueeze")
def _view(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    """Reshape, Flatten, Transpose, ...: the same values, in the same scale on both sides."""
    _refuse_limits(node, segment, limits)
    source, target = segment.tensor(node, 0), segment.output
    permutation = None
    if node.op_type == "Transpose":
        axes = range(len(source.shape))
        permutation = tuple(segment.attribute(node, "perm", tuple(reversed(axes))))
    return [
        View(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            permutation=permutation,
        )
    ]


@CONVERTERS.register("Concat")
def _concat(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    _refuse_limits(node, segment, limits)
    sources = [segment.tensor(node, position) for position in range(len(node.input))]
    return [
        Concat(
            name=node.name or node.output[0],
            inputs=tuple(source.name for source in sources),
            output=segment.output.name,
            axis=segment.attribute(node, "axis", 0) % len(segment.output.shape),
            tables=tuple(rescale_table(source, segment.output) for source in sources),
        )
    ]


@CONVERTERS.register("Pad")
def _pad(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    _refuse_limits(node, segment, limits)
    source, target = segment.tensor(node, 0), segment.output
    if segment.attribute(node, "mode", "constant") != "constant":
        raise segment.refuse(node, "only the mode `constant` is supported")
    if rescale_table(source, target) is not None:
        raise segment.refuse(node, "input and output have different scales")
    if node.input[1] not in segment.arrays:
        raise segment.refuse(node, "the sizes are computed at run time; make them constants")
    pads = segment.arrays[node.input[1]].astype(int)
    if (pads < 0).any() or (len(node.input) > 3 and node.input[3]):
        raise segment.refuse(node, "negative pads or a list of axes")
    value = 0.0
    if len(node.input) > 2 and node.input[2]:
        given = segment.scalar(node.input[2])
        if given is None:
            raise segment.refuse(node, "the border's value is not a constant")
        value = float(given)
    step = np.rint(np.float32(value) / target.scale) + target.zero_point
    return [
        Pad(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            before=tuple(int(size) for size in pads[: len(source.shape)]),
            value=int(np.clip(step, -128, 127)),
        )
    ]


@CONVERTERS.register("Resize")
def _resize(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    _refuse_limits(node, segment, limits)
    source, target = segment.tensor(node, 0), segment.output
    attributes = {item.name: segment.attribute(node, item.name, None) for item in node.attribute}
    scales = segment.arrays.get(node.input[2]) if len(node.input) > 2 else None
    factors = repeats(
        attributes, source.shape, target.shape, () if scales is None else scales.tolist()
    )
    if factors is None and attributes.get("mode") == "linear":
        return convert_linear(node, segment, attributes)
    if factors is None:
        raise segment.refuse(node, REPEATS_ONLY)
    return [
        Upsample(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            factors=factors,
            table=rescale_table(source, target),
        )
    ]


@CONVERTERS.register("Slice")
def _slice(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    _refuse_limits(node, segment, limits)
    source, target = segment.tensor(node, 0), segment.output
    given = [segment.arrays.get(name) for name in node.input[1:] if name]
    if len(given) < 2 or any(values is None for values in given):
        raise segment.refuse(node, "the sizes are computed at run time; make them constants")
    starts, _, *others = (
        [int(value) for value in values] for values in given if values is not None
    )
    axes = others[0] if others else range(len(starts))
    if any(step != 1 for step in (others[1] if len(others) > 1 else ())):
        raise segment.refuse(node, "takes every second value or fewer; steps of 1 are supported")
    kept = [0] * len(source.shape)
    for start, axis in zip(starts, axes, strict=True):
        size = source.shape[axis]
        kept[axis] = min(max(start + size * (start < 0), 0), size)
    return [
        Slice(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            starts=tuple(kept),
            table=rescale_table(source, target),
        )
    ]


@CONVERTERS.register("LayerNormalization")
def _layer_norm(node: onnx.NodeProto, segment: Segment, limits: _Range) -> list[QuantOp]:
    _refuse_limits(node, segment, limits)
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


def _refuse_limits(node: onnx.NodeProto, segment: Segment, limits: _Range) -> None:
    if limits != (-128, 127):
        raise segment.refuse(node, "an activation follows without quantisation between them")


for _name, _kind in _POOLS.items():
    CONVERTERS.register(_name)(partial(convert_pool, _kind))
CONVERTERS.register("ReduceMean")(convert_mean)
