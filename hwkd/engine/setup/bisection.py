"""The largest of the whole numbers at which something still fits."""

from __future__ import annotations

from collections.abc import Callable


def largest_fitting(low: int, high: int, fits: Callable[[int], bool]) -> int:
    """Return it, where what fits at a number fits at every smaller one.

    Args:
        low: fits.
        high: does not, or is out of bounds; above `low`.
    """
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
