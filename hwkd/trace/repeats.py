"""When an ONNX Resize does no more than repeat values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
# What a node that does more is told.
REPEATS_ONLY = (
    "resizes otherwise than by repeating values a whole number of times (nearest, asymmetric, "
    "floor)"
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
    # Attributes hold bytes or text, as whoever read the file left them.
    attributes = {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in attributes.items()
    }
    rule = (
        attributes.get("coordinate_transformation_mode", "half_pixel"),
        attributes.get("nearest_mode", "round_prefer_floor"),
    )
    if attributes.get("mode", "nearest") != "nearest" or rule not in _RULES:
        return None
    factors = tuple(large // small for large, small in zip(after, before, strict=True))
    grown = tuple(size * factor for size, factor in zip(before, factors, strict=True))
    is_whole = grown == tuple(after) and (not len(scales) or tuple(scales) == factors)
    return factors if is_whole else None
