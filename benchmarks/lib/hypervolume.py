"""One number for how good a front is: the volume that it dominates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hwkd.core.pareto import dominates


def hypervolume(points: Iterable[Sequence[float]], reference: Sequence[float]) -> float:
    """Return the volume that the points dominate, in the product of the coordinates' units.

    Args:
        points: every coordinate is better when smaller; one that is not below the reference in
            every coordinate counts for nothing.
        reference: the worst values that still count; without it the number means nothing.
    """
    corner = tuple(map(float, reference))
    inside = {
        tuple(map(float, point))
        for point in points
        if all(value < bound for value, bound in zip(point, corner, strict=True))
    }
    return _volume(sorted(inside, key=lambda point: point[-1]), corner)


def _volume(points: list[tuple[float, ...]], corner: tuple[float, ...]) -> float:
    """Slice along the last coordinate, by which the points are sorted.

    Between two neighbouring values the dominated volume is that of the front so far, one dimension
    lower.
    """
    if not points:
        return 0.0
    if len(corner) == 1:
        return corner[0] - min(points)[0]
    total = area = 0.0
    front: list[tuple[float, ...]] = []
    ends = [point[-1] for point in points[1:]] + [corner[-1]]
    for point, end in zip(points, ends, strict=True):
        flat = point[:-1]
        if not any(other == flat or dominates(other, flat) for other in front):
            front = [other for other in front if not dominates(flat, other)] + [flat]
            area = _volume(sorted(front, key=lambda other: other[-1]), corner[:-1])
        total += (end - point[-1]) * area
    return total
