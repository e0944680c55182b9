"""Lines between the values of a map: which two are read along an axis, with which weights.

In single precision and as ONNX Runtime computes them: many results lie half-way between two steps
of an int8 value, where the last bit decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# Low and high place that each place of the result is between, and their weights.
LineTaps: TypeAlias = tuple[
    NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAxis:
    """An axis that is resized.

    Attributes:
        before: places of the map.
        after: places of the result.
        scale: of the result's size.
    """

    before: int
    after: int
    scale: np.float32


def _half_pixel(axis: LineAxis, place: np.float32) -> np.float32:
    return np.float32((place + np.float32(0.5)) / axis.scale - np.float32(0.5))


def _align_corners(axis: LineAxis, place: np.float32) -> np.float32:
    if axis.after == 1:
        return np.float32(0)
    return np.float32(place * np.float32(axis.before - 1) / np.float32(axis.after - 1))


def _asymmetric(axis: LineAxis, place: np.float32) -> np.float32:
    return np.float32(place / axis.scale)


# ONNX's coordinate transformations -> place in the map.
LINE_PLACES: Mapping[str, Callable[[LineAxis, np.float32], np.float32]] = MappingProxyType(
    {
        "half_pixel": _half_pixel, "pytorch_half_pixel": _half_pixel,
        "align_corners": _align_corners, "asymmetric": _asymmetric,
    }
)  # fmt: skip


def line_taps(axis: LineAxis, mode: str) -> LineTaps:
    """Return what each place of the result is between, by one of `LINE_PLACES`."""
    last = axis.before - 1
    places = [
        np.float32(place) if axis.scale == 1 else LINE_PLACES[mode](axis, np.float32(place))
        for place in range(axis.after)
    ]
    inside = np.clip(np.array(places, np.float32), 0, last)
    low = inside.astype(np.int32)
    high = np.minimum(low + 1, last)
    is_edge = low == high
    low_weights, high_weights = (
        np.where(is_edge, np.float32(0.5), np.abs(inside - other.astype(np.float32)))
        for other in (high, low)
    )
    return low, high, low_weights, high_weights
