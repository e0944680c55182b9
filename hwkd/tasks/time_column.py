"""Columns of time in recordings: which name says time, and in which unit its numbers are."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError

# Words for time, alone or with a unit: "time", "Time (s)", "elapsed_ms", "seconds since start".
_TIMES = frozenset({"time", "timestamp", "stamp", "datetime", "elapsed", "t", "ts"})
_FILLERS = frozenset({"since", "start", "unix", "epoch", "sensor"})
# Word -> seconds of one.
_UNITS: Mapping[str, float] = {
    word: unit_s
    for words, unit_s in (
        ("s sec secs second seconds", 1.0),
        ("ms msec millis millisecond milliseconds", 1e-3),
        ("us µs usec micros microsecond microseconds", 1e-6),
        ("ns nsec nanos nanosecond nanoseconds", 1e-9),
    )
    for word in words.split()
}
# A sensor of motion samples more often than once a second and less often than every thousandth:
# least step -> unit of a clock that names none.
_UNITS_OF_STEPS = (
    (1e6, 1e-9, "nanoseconds"), (1e3, 1e-6, "microseconds"), (1.0, 1e-3, "milliseconds"),
)  # fmt: skip
# Rates of two recordings that differ by more were set apart; clocks of sensors err by less.
_RATE_RATIO = 1.25
_WORD = re.compile(r"[^\W\d_]+")


def is_time(name: str) -> bool:
    """Tell whether a column of this name holds the time of each row."""
    words = _words(name)
    units = [word for word in words if word in _UNITS]
    says_time = bool(words & _TIMES) or any(unit == "ms" or len(unit) > 2 for unit in units)
    return says_time and len(units) < 2 and words <= _TIMES | _FILLERS | _UNITS.keys()


def in_seconds(ticks: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], str]:
    """Return times in seconds, and a note where their steps alone tell the unit.

    Args:
        ticks: shape [rows].
        name: of the column.
    """
    said = [_UNITS[word] for word in _words(name) if word in _UNITS]
    if said:
        return ticks * said[0], ""
    steps = np.diff(ticks)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    for least, unit_s, unit in _UNITS_OF_STEPS:
        if usual >= least:
            return ticks * unit_s, f"{name} is taken as {unit}, from its steps of {usual:g}"
    return ticks, ""


def require_one_rate(
    steps: NDArray[np.float64], starts: NDArray[np.int64], *, where: str, first_row: int
) -> None:
    """Refuse recordings of several rates: windows of as many samples would be of several lengths.

    Args:
        steps: seconds from each sample to the next.
        starts: samples with which recordings begin.
        first_row: of the file, of sample 0.

    Raises:
        DataError: with two of the rates and where they begin.
    """
    ends = [*starts[1:].tolist(), len(steps) + 1]
    usual = {
        start: float(np.median(steps[start : end - 1]))
        for start, end in zip(starts.tolist(), ends, strict=True)
        if end - start > 2
    }
    fast, slow = (find(usual, key=usual.__getitem__, default=None) for find in (min, max))
    if fast is not None and slow is not None and usual[slow] > _RATE_RATIO * usual[fast]:
        shown = [f"{1.0 / usual[at]:.3g} Hz from row {at + first_row}" for at in (fast, slow)]
        raise DataError(
            f"{where}: recordings have several rates ({' and '.join(shown)}); bring them to one"
        )


def _words(name: str) -> set[str]:
    return set(_WORD.findall(name.lower()))
