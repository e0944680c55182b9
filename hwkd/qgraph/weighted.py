"""Weights and biases of a QDQ file as the kernels take them: int8, and int32 for sums.

A bias is added to sums of input steps times weight steps, so its unit is the product of the two
scales. A bias in another unit is refused: ONNX Runtime honours it in some operators and not in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx

from hwkd.qgraph.ir import QuantTensor
from hwkd.qgraph.segment import BYTE_OFFSETS, Segment

_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]
_Int32: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]
_Float32: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

# A product of two float32 scales, rounded once here and once in the file.
_SCALE_TOLERANCE = 2.0**-22
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """Weights as the kernels take them.

    Attributes:
        values: int8, in the order of the file.
        scales: one for each output channel.
        zeros: what `values` are more than their steps, for each output channel; None for 0.
    """

    values: _Int8
    scales: _Float32
    zeros: _Int32 | None = None


def read_weights(node: onnx.NodeProto, segment: Segment, *, axis: int) -> Weights:
    """Return int8 weights with one scale, and where it is needed one zero point, for each channel.

    Raises:
        ExportError: if they are no quantised constant, not of 8 bits, or have scales along another
            axis.
    """
    name = node.input[1]
    item = segment.constants.get(name)
    if item is None:
        raise segment.refuse(
            node, f"weights {name!r} are no quantised constant, expected int8 values behind "
            "DequantizeLinear; quantise this node as well"
        )  # fmt: skip
    if item.encoding.dtype not in BYTE_OFFSETS:
        raise segment.refuse(node, f"{item.encoding.dtype} weights, expected 8 bits")
    steps, channels = item.steps, item.values.shape[axis]
    scale = item.encoding.scale
    if scale.size > 1 and item.encoding.axis != axis:
        raise segment.refuse(
            node, f"weight scales along axis {item.encoding.axis}, expected the output channels, "
            f"axis {axis}"
        )  # fmt: skip
    scales = np.broadcast_to(scale, (channels,)).astype(np.float32)
    if not steps.size or (steps.min() >= -128 and steps.max() <= 127):
        return Weights(values=steps.astype(np.int8), scales=scales)
    offset = BYTE_OFFSETS[item.encoding.dtype]
    zeros = item.encoding.zero_point.astype(np.int32) - offset
    return Weights(
        values=(item.values.astype(np.int16) - offset).astype(np.int8),
        scales=scales,
        zeros=np.broadcast_to(zeros, (channels,)).astype(np.int32),
    )


def read_bias(
    node: onnx.NodeProto, segment: Segment, source: QuantTensor, scales: _Float32
) -> _Int32:
    """Return the int32 bias in units of input scale times weight scale; zeros where there is none.

    Args:
        scales: of the weights, one for each output channel.

    Raises:
        ExportError: if it is no constant, has a zero point, or a scale of its own.
    """
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros(scales.size, np.int32)
    name = node.input[2]
    # In single precision, as ONNX Runtime multiplies them.
    units = (source.scale * scales).astype(np.float32)
    if units.min() < np.finfo(np.float32).tiny:
        raise segment.refuse(
            node,
            f"input scale {source.scale:g} times weight scale {scales.min():g} is less than "
            "float32 holds; prune the channel",
        )
    if name in segment.arrays:
        values = segment.arrays[name].astype(np.float32)
        return _whole(node, segment, np.rint(_for_channels(node, segment, values, scales) / units))
    item = segment.constants.get(name)
    if item is None:
        raise segment.refuse(node, f"its bias {name!r} is no constant")
    zeros = item.encoding.zero_point
    if zeros.any():
        raise segment.refuse(
            node,
            f"its bias has zero point {int(zeros[zeros != 0][0])}, expected 0: int32 values have "
            "no other in ONNX",
        )
    steps = _for_channels(node, segment, item.steps, scales)
    scale = item.encoding.scale
    if scale.size not in (1, scales.size):
        raise segment.refuse(node, f"{scale.size} scales of its bias for {scales.size} channels")
    ratio = scale.astype(np.float64) / units
    off = np.flatnonzero(np.abs(ratio - 1) > _SCALE_TOLERANCE)
    if not len(off) or not item.values.any():
        return _whole(node, segment, steps)
    given, expected = float(scale[off[0] % scale.size]), float(units[off[0]])
    raise segment.refuse(
        node,
        f"its bias has scale {given:g}, expected input scale times weight scale, {expected:g}; "
        "quantise the bias with that, or leave it float",
    )


def _for_channels(node: onnx.NodeProto, segment: Segment, values: Any, scales: _Float32) -> Any:
    """Return one value for each channel; a Gemm may add one value to all."""
    leading = values.shape[:-1]
    if values.size not in (1, scales.size) or any(size != 1 for size in leading):
        raise segment.refuse(
            node, f"a bias of shape {list(values.shape)} for {scales.size} channels"
        )
    return np.broadcast_to(values.reshape(-1), (scales.size,))


def _whole(node: onnx.NodeProto, segment: Segment, steps: Any) -> _Int32:
    if not (np.isfinite(steps).all() and _INT32.min <= steps.min() and steps.max() <= _INT32.max):
        raise segment.refuse(
            node, "its bias leaves 32 bits in units of input scale times weight scale; quantise "
            "again with more calibration samples"
        )  # fmt: skip
    return np.asarray(steps).astype(np.int32)
