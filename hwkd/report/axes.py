"""The cost axes of the Pareto pictures, shared by the page and the PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from hwkd.core.choices import LimitName
from hwkd.core.run_record import LimitRecord, RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.report import format as fmt
from hwkd.report.latency import Latency

# A limit farther away than this would squeeze the points into a corner; it is named at the edge.
_DRAWN_WITHIN = 2.5
_LOG_FROM_RATIO = 20.0
_FROM_ZERO = 0.5
# Of the height of a picture: half of the largest marker and its outline.
_MARKER = 0.05
# Of the error: where all are nearly one.
_LEAST_ROOM = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class CostAxis:
    """One cost of the completed trials, in display units.

    Attributes:
        label: text of a button, for example "Latency".
        title: of the axis, with unit, for example "Latency, ms".
        values: one per scored trial.
        limit: hard limit on this cost, None without one.
        is_log: the values span more than a factor of 20.
    """

    label: str
    title: str
    source: str
    unit: fmt.Unit
    values: tuple[float, ...]
    limit: LimitRecord | None
    is_log: bool
    low: float
    high: float

    @property
    def limit_at(self) -> float | None:
        """Where to draw the limit; None without one or when it lies far outside."""
        if self.limit is None:
            return None
        at = self.unit.of(self.limit.value)
        return at if self.low <= at <= self.high else None

    @property
    def limit_text(self) -> str:
        """What to write beside the limit, empty without one."""
        if self.limit is None:
            return ""
        value = fmt.limit_value(self.limit.name, self.limit.value)
        text = f"limit {value} ({self.limit.origin})"
        return text if self.limit_at is not None else f"{text}, off scale →"

    @property
    def is_label_left_of_limit(self) -> bool:
        """True when the text beside the limit would leave the picture on the right."""
        at = self.limit_at
        return at is None or at > 0.6 * self.high

    @property
    def plotly_range(self) -> list[float]:
        """The ends as plotly wants them: exponents of ten on a logarithmic axis."""
        ends = [self.low, self.high]
        return [log10(end) for end in ends] if self.is_log else ends


def scored_trials(records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Return the completed trials that have an error, a cost and a latency."""
    return tuple(
        record
        for record in records
        if record.state == "completed"
        and record.objective is not None
        and record.cost is not None
        and record.latency_s is not None
    )


def cost_axes(run: RunRecord, scored: Sequence[TrialRecord]) -> tuple[CostAxis, ...]:
    """Return latency, peak RAM and flash, and energy when every trial has one."""
    costs = [record.cost for record in scored if record.cost is not None]
    sizes = run.device.basis.sizes
    wanted: list[tuple[str, LimitName, str, list[float | None]]] = [
        ("Latency", "latency", Latency(run.device).source, [r.latency_s for r in scored]),
        ("Peak RAM", "ram", sizes, [float(cost.peak_ram_bytes) for cost in costs]),
        ("Flash", "flash", sizes, [float(cost.flash_bytes) for cost in costs]),
        ("Energy", "energy", sizes, [cost.energy_j for cost in costs]),
    ]
    axes = []
    for label, name, source, values in wanted:
        known = [value for value in values if value is not None]
        if known and len(known) == len(scored):
            axes.append(_axis(label, known, source, run.device.limit(name), name))
    return tuple(axes)


def error_range(errors: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis of errors, with room for half a large marker.

    It begins at 0 unless the lowest error is more than half of the highest: all would lie in a
    narrow strip then.
    """
    lowest, highest = min(errors), max(errors)
    if lowest <= _FROM_ZERO * highest:
        room = _MARKER * highest or 1.0
        return min(0.0, lowest - room), highest + room
    room = max(_MARKER * (highest - lowest), _LEAST_ROOM * highest) / (1.0 - 2 * _MARKER)
    return max(0.0, lowest - room), highest + room


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times every power of ten, as far as they lie between `low` and `high`."""
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    ticks = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]
    return [tick for tick in ticks if low <= tick <= high]


def staircase(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of the lower-left boundary of (x, y) points, from left to right."""
    corners: list[tuple[float, float]] = []
    # From left to right, and at equal x from the bottom up, only a new lowest y is undominated.
    for x, y in sorted(points):
        if not corners:
            corners.append((x, y))
        elif y < corners[-1][1]:
            corners += [(x, corners[-1][1]), (x, y)]
    return corners


def _axis(
    label: str, known_si: list[float], source: str, limit: LimitRecord | None, name: LimitName
) -> CostAxis:
    unit = fmt.unit_of_limit(name, max(known_si))
    values = tuple(unit.of(value) for value in known_si)
    smallest, largest = min(values), max(values)
    is_log = smallest > 0 and largest / smallest > _LOG_FROM_RATIO
    edge = largest
    if limit is not None and unit.of(limit.value) <= _DRAWN_WITHIN * largest:
        edge = max(edge, unit.of(limit.value))
    return CostAxis(
        label=label,
        title=f"{label}, {unit.name}",
        source=source,
        unit=unit,
        values=values,
        limit=limit,
        is_log=is_log,
        low=smallest * 0.8 if is_log else 0.0,
        high=(edge if edge > 0 else 1.0) * (1.25 if is_log else 1.08),
    )
