"""When an ONNX Resize repeats values or interpolates them a whole number of times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwkd.core.student import Interpolation

# Where coordinates are taken from and how they are rounded; with whole factors each of these lands
# on the value whose place is repeated.
_RULES = frozenset(
    {("asymmetric", "floor")}
    | {
        (place, f"round_prefer_{side}")
        for place in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel")
        for side in ("floor", "ceil")
    }
)
_LINEAR: Mapping[str, Interpolation] = {
    "half_pixel": "half_pixel", "pytorch_half_pixel": "half_pixel",
    "align_corners": "align_corners",
}  # fmt: skip
# What a node that does more is told.
REPEATS_ONLY = (
    "resizes otherwise than by repeating values a whole number of times (nearest, asymmetric, "
    "floor) or by lines between them (linear, half_pixel or align_corners)"
)


def repeats(
    attributes: Mapping[str, Any],
    before: Sequence[int],
    after: Sequence[int],
    scales: Sequence[float],
) -> tuple[int, ...] | None:
    """Return how often a Resize repeats what lies along each axis; None if it does more.

    Args:
        attributes: of the node; ONNX's defaults stand for what is left out.
        before: shape of its input.
        after: shape of its output.
        scales: its operand of this name, empty where it has none.

    Source:
        ONNX operator Resize, version 19: transformations of coordinates and rounding.
    """
    attributes = _as_text(attributes)
    rule = (
        attributes.get("coordinate_transformation_mode", "half_pixel"),
        attributes.get("nearest_mode", "round_prefer_floor"),
    )
    if attributes.get("mode", "nearest") != "nearest" or rule not in _RULES:
        return None
    return _whole_factors(before, after, scales)


def interpolates(
    attributes: Mapping[str, Any],
    before: Sequence[int],
    after: Sequence[int],
    scales: Sequence[float],
) -> tuple[tuple[int, ...] | None, Interpolation]:
    """Return how many times as large a Resize makes each axis by lines between values, and how.

    Args:
        attributes: as the other arguments, see `repeats`.
    """
    attributes = _as_text(attributes)
    place = attributes.get("coordinate_transformation_mode", "half_pixel")
    is_linear = attributes.get("mode") == "linear" and not attributes.get("antialias")
    mode = _LINEAR.get(place) if is_linear else None
    if mode is None:
        return None, "nearest"
    return _whole_factors(before, after, scales), mode


def _as_text(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes with text where whoever read the file left bytes."""
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in attributes.items()
    }


def _whole_factors(
    before: Sequence[int], after: Sequence[int], scales: Sequence[float]
) -> tuple[int, ...] | None:
    factors = tuple(large // small for large, small in zip(after, before, strict=True))
    grown = tuple(size * factor for size, factor in zip(before, factors, strict=True))
    is_whole = grown == tuple(after) and (not len(scales) or tuple(scales) == factors)
    return factors if is_whole else None
