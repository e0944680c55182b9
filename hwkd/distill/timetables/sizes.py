"""Sizes between a teacher and its student, and widths of an augmented network."""

from __future__ import annotations

from collections.abc import Sequence


def chain_sizes(teacher: float, student: float, assistants: int) -> list[int]:
    """Return sizes from teacher to student with equal ratios, rounded.

    Source:
        Teacher assistants, Mirzadeh et al. 2020, arXiv:1902.03393; the ratios are ours.
    """
    ratio = (student / teacher) ** (1.0 / (assistants + 1))
    inner = [round(teacher * ratio**link) for link in range(1, assistants + 1)]
    return [round(teacher), *inner, round(student)]


def rounded_width(value: float, divisor: int) -> int:
    """Return the nearest multiple of the divisor: at least it, and never below 90% of the value."""
    width = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return width + divisor if width < 0.9 * value else width


def augmented_widths(
    base: Sequence[int], multipliers: Sequence[float], divisor: int
) -> list[list[int]]:
    """Return for each width of a network those that it is augmented to.

    Source:
        NetAug, Cai et al. 2022, arXiv:2110.08890.
    """
    return [[rounded_width(width * times, divisor) for times in multipliers] for width in base]


def augmentation_mode(
    epoch: int, epochs: int, *, stop_width: int, stop_expand: int, stop_all: int
) -> int:
    """Return what is augmented: 0 width and expansion, 1 expansion, 2 width, 3 nothing.

    Args:
        epoch: from 0.
        epochs: of the training.
        stop_width: so many last epochs have the base width.
        stop_expand: so many have the base expansion.
        stop_all: so many are plain.
    """
    left = epochs - epoch
    if left <= stop_all:
        return 3
    if left <= stop_width:
        return 1
    return 2 if left <= stop_expand else 0


def by_importance(norms: Sequence[float]) -> list[int]:
    """Return channels by their norm, the largest first, so that slices keep what counts."""
    return sorted(range(len(norms)), key=lambda channel: -norms[channel])
