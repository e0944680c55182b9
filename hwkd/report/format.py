"""The only place where SI values become text for people: bytes to KiB, seconds to ms, and so on.

KiB is 1024 bytes. Three significant digits are shown: no number here is known better.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hwkd.core.choices import LimitName
from hwkd.core.limits import LIMIT_LABELS, LimitFit
from hwkd.core.measure import LatencyEstimate
from hwkd.core.metric import Metric, Scores

UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class Unit:
    """A display unit: `value_si * per_si` is the number that is shown before `name`."""

    name: str
    per_si: float

    def of(self, value_si: float) -> float:
        """Return the number that an axis in this unit shows."""
        return value_si * self.per_si


KIB = Unit("KiB", 1 / 1024)
_TIMES = (Unit("s", 1.0), Unit("ms", 1e3), Unit("µs", 1e6), Unit("ns", 1e9))
_ENERGIES = (Unit("J", 1.0), Unit("mJ", 1e3), Unit("µJ", 1e6), Unit("nJ", 1e9))
_FREQUENCIES = (Unit("GHz", 1e-9), Unit("MHz", 1e-6), Unit("kHz", 1e-3), Unit("Hz", 1.0))
_COUNTS = (Unit("G", 1e-9), Unit("M", 1e-6), Unit("k", 1e-3))


def significant(value: float, digits: int = 3) -> str:
    """Return `value` with `digits` significant digits, without an exponent and without a sign of 0.

    Trailing zeros are kept below 1000 because they say how well the number is known.
    """
    if value == 0:
        return "0"
    magnitude = abs(value)
    rounded = float(f"{magnitude:.{digits - 1}e}")
    decimals = max(0, digits - 1 - int(f"{rounded:e}".split("e")[1]))
    return f"{'-' if value < 0 else ''}{rounded:,.{decimals}f}"


def time(value_s: float | None) -> str:
    """Return a latency: `8.12 ms`."""
    return _scaled(value_s, _TIMES)


def energy(value_j: float | None) -> str:
    """Return an energy: `0.312 mJ` is written `312 µJ`."""
    return _scaled(value_j, _ENERGIES)


def frequency(value_hz: float | None) -> str:
    """Return a clock: `216 MHz`; a clock that is not fixed is said to be so."""
    if value_hz is None:
        return "a clock that is not fixed"
    return _scaled(value_hz, _FREQUENCIES)


def kib(value_bytes: float | None) -> str:
    """Return bytes: `812 B`, `45.2 KiB`, `1.20 MiB`."""
    if value_bytes is None:
        return UNKNOWN
    if abs(value_bytes) < 1024:
        return f"{value_bytes:.0f} B"
    if abs(value_bytes) < 1024**2:
        return f"{significant(value_bytes / 1024)} KiB"
    return f"{significant(value_bytes / 1024**2)} MiB"


def count(value: float | None) -> str:
    """Return a large count: `12.5 k`, `1.24 M`; below 1000 as it is."""
    if value is None:
        return UNKNOWN
    if abs(value) < 1000:
        return f"{value:.0f}"
    unit = next(unit for unit in _COUNTS if float(f"{abs(unit.of(value)):.2e}") >= 1)
    return f"{significant(unit.of(value))} {unit.name}"


def integer(value: int) -> str:
    """Return an exact count: `4,072`."""
    return f"{value:,}"


def score_text(metric: Metric, scores: Scores | None) -> str:
    """Return the value of a metric with its unit; "unknown" where there is none."""
    return "unknown" if scores is None else metric.text(metric.of(scores))


def heading(name: str) -> str:
    """Return a metric's name as a heading: "Mean IoU" of "mean IoU", "mAP@50" as it is."""
    first = name.split(" ", 1)[0]
    return name if first != first.lower() else name[:1].upper() + name[1:]


def percent(ratio: float | None, *, decimals: int = 1) -> str:
    """Return a share: 0.9213 is `92.1 %`."""
    return UNKNOWN if ratio is None else f"{100 * ratio:.{decimals}f} %"


def signed_percent(ratio: float) -> str:
    """Return by how much something is over or under: `+25.0 %`, large ones as a factor."""
    if ratio >= 9:
        return f"x {significant(ratio + 1)}"
    return f"{100 * ratio:+.1f} %"


def duration(value_s: float) -> str:
    """Return a wall time: `850 ms`, `41.2 s`, `2 min 41 s`, `1 h 02 min`."""
    if value_s < 60:
        return time(value_s)
    seconds = round(value_s)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    minutes = round(value_s / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def shape(sizes: Iterable[int]) -> str:
    """Return a tensor shape: `16 × 14 × 14`."""
    return " × ".join(str(size) for size in sizes)


def limit_label(name: LimitName) -> str:
    """Return what a limit is called in text."""
    return LIMIT_LABELS[name]


def needed_text(entry: LimitFit) -> str:
    """Return what a student needs of one limit, as far as it is known."""
    if entry.needed is None:
        return "unknown"
    least = "at least " if entry.is_lower_bound else ""
    return f"{least}{limit_value(entry.name, entry.needed)}"


def fit_text(entry: LimitFit) -> str:
    """Return the answer for one limit: `fits`, `unknown`, or `over, +25.0 %`."""
    if entry.answer != "over" or entry.used_ratio is None:
        return entry.answer
    return f"over, {signed_percent(entry.used_ratio - 1)}"


def evidence_text(latency: LatencyEstimate | None) -> str:
    """Return what part of a latency rests on weak evidence, to be put behind its source."""
    if latency is None:
        return ""
    weak = " and ".join(f"{share:.0%} of it {why}" for why, share in latency.weak_shares.items())
    untimed = never_timed_text(latency) if latency.never_timed else ""
    borrowed = borrowed_text(latency) if latency.borrowed else ""
    return "".join(f"; {text}" for text in (weak, untimed, borrowed) if text)


def borrowed_text(latency: LatencyEstimate) -> str:
    """Return what share of a latency rests on another fit's cycles, with the classes of work."""
    return (
        f"{sum(latency.borrowed.values()):.0%} of the latency rests on classes of work that no "
        f"row of this fit holds, borrowed from another one: {', '.join(latency.borrowed)}"
    )


def never_timed_text(latency: LatencyEstimate) -> str:
    """Return what share of a latency rests on operators that nobody timed, with their names."""
    forms = latency.never_timed
    return (
        f"{sum(forms.values()):.0%} of the latency rests on operators that were never timed on "
        f"this runtime and core: {', '.join(forms)}"
    )


def limit_value(name: LimitName, value: float) -> str:
    """Return a limit, or what a student needs of it, in its unit."""
    if name == "latency":
        return time(value)
    return energy(value) if name == "energy" else kib(value)


def time_unit(largest_s: float) -> Unit:
    """Return the unit in which the largest value of an axis is at least 1."""
    return _fitting(largest_s, _TIMES)


def unit_of_limit(name: LimitName, largest: float) -> Unit:
    """Return the axis unit for a limited quantity whose largest value is `largest`."""
    if name == "latency":
        return time_unit(largest)
    return _fitting(largest, _ENERGIES) if name == "energy" else KIB


def _fitting(value: float, units: tuple[Unit, ...]) -> Unit:
    # Rounded first, so that 999.9 µs is written 1.00 ms and not 1,000 µs.
    return next((unit for unit in units if float(f"{unit.of(abs(value)):.2e}") >= 1), units[-1])


def _scaled(value: float | None, units: tuple[Unit, ...]) -> str:
    if value is None:
        return UNKNOWN
    if value == 0:
        return f"0 {units[0].name}"
    unit = _fitting(value, units)
    return f"{significant(unit.of(value))} {unit.name}"
