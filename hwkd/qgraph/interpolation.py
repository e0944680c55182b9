"""Resizing by lines between values, in float as ONNX Runtime and in fixed point as TFLite."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from hwkd.core.lines import LINE_PLACES, LineAxis, line_taps
from hwkd.qgraph.elementwise import rescale_table
from hwkd.qgraph.ir import Int32Array, QuantOp, ResizeLinear, Taps
from hwkd.qgraph.segment import Segment

# Fixed-point weights have ten bits, as TensorFlow Lite's.
FIXED_BITS = 10


def convert_linear(
    node: onnx.NodeProto, segment: Segment, attributes: Mapping[str, object]
) -> list[QuantOp]:
    """Return the operator of a Resize in the mode `linear`.

    Raises:
        ExportError: if it resizes more than height and width, or takes places otherwise.
    """
    source, target = segment.tensor(node, 0), segment.output
    mode = str(attributes.get("coordinate_transformation_mode", "half_pixel"))
    if mode not in LINE_PLACES or len(source.shape) != 4 or source.shape[:2] != target.shape[:2]:
        raise segment.refuse(
            node, f"interpolates {list(source.shape)} to {list(target.shape)} by {mode}; height "
            f"and width are supported, by {', '.join(LINE_PLACES)}"
        )  # fmt: skip
    if attributes.get("antialias") or attributes.get("exclude_outside"):
        raise segment.refuse(node, "smooths before it resizes")
    given = segment.arrays.get(node.input[2]) if len(node.input) > 2 else None
    ratios = np.divide(target.shape, source.shape, dtype=np.float32)
    scales = ratios if given is None or not given.size else given.astype(np.float32)
    if not np.array_equal(scales, ratios):
        raise segment.refuse(node, f"scales {scales.tolist()} for sizes {ratios.tolist()} as large")
    rows, columns = (
        _taps(
            LineAxis(before=source.shape[axis], after=target.shape[axis], scale=scales[axis]), mode
        )
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


def _taps(axis: LineAxis, mode: str) -> Taps:
    low, high, low_weights, high_weights = line_taps(axis, mode)
    return Taps(
        low=low,
        high=high,
        low_weights=low_weights,
        high_weights=high_weights,
        fixed=_fixed_taps(axis, mode),
    )


def _fixed_taps(axis: LineAxis, mode: str) -> Int32Array:
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
