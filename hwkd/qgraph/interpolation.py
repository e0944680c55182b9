"""Resizing by lines between values: which two are read along an axis, with which weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from hwkd.qgraph.elementwise import rescale_table
from hwkd.qgraph.ir import Int32Array, QuantOp, ResizeLinear, Taps
from hwkd.qgraph.segment import Segment

# Fixed-point weights have ten bits, as TensorFlow Lite's.
FIXED_BITS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    before: int
    after: int
    scale: np.float32


def _half_pixel(axis: _Axis, place: np.float32) -> np.float32:
    return np.float32((place + np.float32(0.5)) / axis.scale - np.float32(0.5))


def _align_corners(axis: _Axis, place: np.float32) -> np.float32:
    if axis.after == 1:
        return np.float32(0)
    return np.float32(place * np.float32(axis.before - 1) / np.float32(axis.after - 1))


def _asymmetric(axis: _Axis, place: np.float32) -> np.float32:
    return np.float32(place / axis.scale)


# ONNX's coordinate transformations -> place in the input, in single precision as ONNX Runtime.
_PLACES: Mapping[str, Callable[[_Axis, np.float32], np.float32]] = {
    "half_pixel": _half_pixel, "pytorch_half_pixel": _half_pixel,
    "align_corners": _align_corners, "asymmetric": _asymmetric,
}  # fmt: skip


def convert_linear(
    node: onnx.NodeProto, segment: Segment, attributes: Mapping[str, object]
) -> list[QuantOp]:
    """Return the operator of a Resize in the mode `linear`.

    Raises:
        ExportError: if it resizes more than height and width, or takes places otherwise.
    """
    source, target = segment.tensor(node, 0), segment.output
    mode = str(attributes.get("coordinate_transformation_mode", "half_pixel"))
    if mode not in _PLACES or len(source.shape) != 4 or source.shape[:2] != target.shape[:2]:
        raise segment.refuse(
            node, f"interpolates {list(source.shape)} to {list(target.shape)} by {mode}; height "
            f"and width are supported, by {', '.join(_PLACES)}"
        )  # fmt: skip
    if attributes.get("antialias") or attributes.get("exclude_outside"):
        raise segment.refuse(node, "smooths before it resizes")
    given = segment.arrays.get(node.input[2]) if len(node.input) > 2 else None
    ratios = np.divide(target.shape, source.shape, dtype=np.float32)
    scales = ratios if given is None or not given.size else given.astype(np.float32)
    if not np.array_equal(scales, ratios):
        raise segment.refuse(node, f"scales {scales.tolist()} for sizes {ratios.tolist()} as large")
    rows, columns = (
        _taps(_Axis(before=source.shape[axis], after=target.shape[axis], scale=scales[axis]), mode)
        for axis in (2, 3)
    )
    return [
        ResizeLinear(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            coordinates="align_corners" if mode == "align_corners" else
            "asymmetric" if mode == "asymmetric" else "half_pixel",
            rows=rows,
            columns=columns,
            table=rescale_table(source, target),
        )
    ]  # fmt: skip


def _taps(axis: _Axis, mode: str) -> Taps:
    last = axis.before - 1
    places = [
        np.float32(place) if axis.scale == 1 else _PLACES[mode](axis, np.float32(place))
        for place in range(axis.after)
    ]
    inside = np.clip(np.array(places, np.float32), 0, last)
    low = inside.astype(np.int32)
    high = np.minimum(low + 1, last)
    is_edge = low == high
    return Taps(
        low=low,
        high=high,
        low_weights=np.where(is_edge, np.float32(0.5), np.abs(inside - high.astype(np.float32))),
        high_weights=np.where(is_edge, np.float32(0.5), np.abs(inside - low.astype(np.float32))),
        fixed=_fixed_taps(axis, mode),
    )


def _fixed_taps(axis: _Axis, mode: str) -> Int32Array:
    """Return low place, high place and the high one's weight, as TensorFlow Lite computes them.

    Source:
        tensorflow/lite/kernels/internal/reference/resize_bilinear.h, for integers.
    """
    one, before, after = 1 << FIXED_BITS, axis.before, axis.after
    if mode == "align_corners" and after > 1:
        before, after = before - 1, after - 1
    step = (one * before + after // 2) // after
    places = np.arange(axis.after) * step
    if mode in ("half_pixel", "pytorch_half_pixel"):
        places += step // 2 - one // 2
    low = np.maximum(np.trunc(places / one), 0)
    high = np.clip(np.trunc((places + one - 1) / one), 0, axis.before - 1)
    low = np.minimum(low, axis.before - 1)
    return np.stack([low, high, places - low * one], axis=1).astype(np.int32)
