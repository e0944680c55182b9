"""The Pareto front over (error, latency, peak RAM, flash), all minimised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hwkd.core.trial import TrialRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPoint:
    """One trial seen as a point; every coordinate is better when smaller.

    Attributes:
        error: validation error of the int8 student, 0 to 1.
        latency_s: estimated for a device, measured for the host.
        flash_bytes: estimated, weights and code.
    """

    trial: int
    space: str
    error: float
    latency_s: float
    peak_ram_bytes: int
    flash_bytes: int

    @property
    def values(self) -> tuple[float, ...]:
        """The four minimised coordinates."""
        return (self.error, self.latency_s, float(self.peak_ram_bytes), float(self.flash_bytes))


def dominates(first: Sequence[float], second: Sequence[float]) -> bool:
    """Tell whether `first` is nowhere worse and somewhere better; smaller is better."""
    return all(a <= b for a, b in zip(first, second, strict=True)) and tuple(first) != tuple(second)


def pareto_front(records: Sequence[TrialRecord]) -> tuple[FrontPoint, ...]:
    """Return the undominated completed trials, fastest first; equal points keep the first trial."""
    points = [point for record in records if (point := point_of(record)) is not None]
    # What dominates a point comes before it in this order, and is on the front or dominated by
    # what is, so each point meets the front alone and not all others.
    points.sort(key=lambda p: (p.latency_s, p.error, p.peak_ram_bytes, p.flash_bytes, p.trial))
    front: list[FrontPoint] = []
    for point in points:
        values = point.values
        if not any(other.values == values or dominates(other.values, values) for other in front):
            front.append(point)
    return fastest_first(front)


def fastest_first(points: Iterable[FrontPoint]) -> tuple[FrontPoint, ...]:
    """Return points in the order of tables."""
    return tuple(sorted(points, key=lambda point: (point.latency_s, point.error, point.trial)))


def point_of(record: TrialRecord) -> FrontPoint | None:
    """Return a completed trial as a point; None of one that lacks a coordinate."""
    latency_s = record.latency_s
    if (
        record.state != "completed"
        or record.spec is None
        or record.objective is None
        or record.cost is None
        or latency_s is None
    ):
        return None
    return FrontPoint(
        trial=record.number,
        space=record.spec.space,
        error=record.objective.task_error,
        latency_s=latency_s,
        peak_ram_bytes=record.cost.peak_ram_bytes,
        flash_bytes=record.cost.flash_bytes,
    )
