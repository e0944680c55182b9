"""Reads recordings of sensors: a CSV table or an NPZ archive with one row or entry per sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import ConfigError, DataError
from hwkd.core.printable import printable
from hwkd.core.reading import Reading
from hwkd.tasks.recording_samples import (
    LABELS,
    RECORDINGS,
    WHO,
    Samples,
    samples_of_arrays,
    samples_of_table,
)
from hwkd.tasks.sources import is_zip
from hwkd.tasks.sources import reading as opened
from hwkd.tasks.text_table import is_table, read_table
from hwkd.tasks.time_column import in_seconds, is_time, require_one_rate

RECORDING_FORMATS = (
    "a CSV file with a heading and one row for each sample (numbers, a label, and as you have them "
    "recording, time and subject), or an NPZ file with x of shape (samples, channels), y, and "
    "recording, rate and subject"
)
# A clock that is no further off than this is the same rate.
_RATE_MARGIN = 0.05
# A step of more than so many usual ones is a gap, which no window reaches over.
_GAP = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Samples of one label, one after another without a gap.

    Attributes:
        values: float32, shape [channels, samples].
        number: of the recording that it is of, from 0.
        group: who made it; empty where that was not asked.
    """

    values: NDArray[np.float32]
    label: str
    number: int
    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """What a file holds.

    Attributes:
        channels: names.
        parts: in the order of the file.
        notes: what was taken for what.
    """

    source: str
    channels: tuple[str, ...]
    rate_hz: float
    parts: tuple[Recording, ...]
    notes: tuple[str, ...]


def read_recordings(path: Path, reading: Reading, *, unsaid_hz: float | None = None) -> Recordings:
    """Read recordings; a new one begins with another label, another group or after a gap in time.

    Args:
        unsaid_hz: their rate where nothing says it.

    Raises:
        DataError: names file and row of what is missing, no number, or out of order.
        ConfigError: if nothing says the rate.
    """
    group = group_of(reading)
    with opened(path, takes=RECORDING_FORMATS):
        if is_table(path):
            found = samples_of_table(read_table(path), reading, group)
            return _cut(found, reading, unsaid_hz)
        if path.is_file() and is_zip(path):
            return _cut(samples_of_arrays(path, reading, group), reading, unsaid_hz)
        raise DataError(f"{printable(path)}: unknown format; --data takes {RECORDING_FORMATS}")


def read_signal(path: Path, channels: int) -> tuple[NDArray[np.float64], float | None]:
    """Read one recording without a label: a table with one row for each moment.

    Args:
        path: CSV with a heading; columns of time, label and who made it are passed over.
        channels: columns of numbers that it must have.

    Returns:
        Values, shape [channels, samples], and samples per second; None where no time is told.

    Raises:
        DataError: names file and row of what is missing, no number, or out of order.
    """
    with opened(path, takes="a CSV file with a heading"):
        if not is_table(path):
            raise DataError(f"{printable(path)}: no CSV file; give one row for each moment")
        table = read_table(path)
    lower = [name.lower() for name in table.names]
    time = next((at for at, name in enumerate(lower) if is_time(name)), None)
    passed = RECORDINGS | WHO | set(LABELS) - {"y"}
    sensors = [at for at, name in enumerate(lower) if at != time and name not in passed]
    if len(sensors) == channels + 1 and table.numbers_rows(sensors[0]):
        sensors = sensors[1:]
    if len(sensors) != channels:
        raise DataError(
            f"{table.source}: {len(sensors)} columns of a signal "
            f"({', '.join(table.names[at] for at in sensors[:8])}); the network takes {channels}"
        )
    values = table.numbers(sensors).T
    if time is None:
        return values, None
    time_s, _ = in_seconds(table.numbers([time])[:, 0], table.names[time])
    steps = np.diff(time_s)
    if not len(steps) or (steps <= 0).any():
        row = int(np.argmax(steps <= 0)) + 1 if len(steps) else 0
        raise DataError(f"{table.source}: row {row + 2}: time does not go forward; sort the rows")
    return values, float(f"{1.0 / float(np.median(steps)):.4g}")


def is_other_rate(rate_hz: float, known_hz: float) -> bool:
    """Tell whether a recording has another rate than what is known, beyond what clocks differ."""
    return abs(rate_hz / known_hz - 1.0) > _RATE_MARGIN


def group_of(reading: Reading) -> str | None:
    """Return the column that keeps examples together; None where a split is not by groups.

    Raises:
        ConfigError: if the split is of no known kind.
    """
    kind, colon, column = (reading.split or "random").partition(":")
    if (kind == "group") != bool(colon and column) or kind not in ("group", "random", "time"):
        raise ConfigError(
            f"--split {reading.split}: expected random, time or group:COLUMN, as group:subject"
        )
    return column or None


def _cut(samples: Samples, reading: Reading, unsaid_hz: float | None) -> Recordings:
    """Cut where label, recording or group change, and at gaps in time."""
    count = len(samples.labels)
    if np.abs(samples.values).max(initial=0.0) > np.finfo(np.float32).max:
        raise DataError(f"{samples.source}: holds values that float32 does not; scale them down")
    begins = np.zeros(count, dtype=bool)
    begins[0] = True
    for column in (samples.labels, samples.recordings, samples.groups):
        if column is not None:
            begins[1:] |= column[1:] != column[:-1]
    whole = np.cumsum(begins) - 1  # before gaps cut them further
    rate_hz, gaps, note = _rate(samples, begins, reading.rate_hz, unsaid_hz)
    starts = np.flatnonzero(begins | gaps)
    ends = [*starts[1:].tolist(), count]
    numbers = _numbers(samples, whole)
    parts = tuple(
        Recording(
            values=np.ascontiguousarray(samples.values[start:end].T, dtype=np.float32),
            label=str(samples.labels[start]),
            number=int(numbers[start]),
            group="" if samples.groups is None else str(samples.groups[start]),
        )
        for start, end in zip(starts.tolist(), ends, strict=True)
    )
    if len({part.label for part in parts}) < 2:
        raise DataError(
            f"{samples.source}: every sample is labelled {parts[0].label!r}; two classes or more "
            "are needed"
        )
    whole_count = int(numbers.max()) + 1
    return Recordings(
        source=samples.source,
        channels=samples.channels,
        rate_hz=rate_hz,
        parts=parts,
        notes=(*samples.notes, f"{whole_count:,} recordings at {rate_hz:g} Hz{note}"),
    )


def _numbers(samples: Samples, whole: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the recording of each sample: its own column with its label, else each stretch."""
    if samples.recordings is None:
        return whole
    both = np.char.add(np.char.add(samples.recordings.astype(str), "\n"), samples.labels)
    numbers: NDArray[np.int64] = np.unique(both, return_inverse=True)[1].ravel()
    return numbers


def _rate(
    samples: Samples,
    begins: NDArray[np.bool_],
    asked_hz: float | None,
    unsaid_hz: float | None,
) -> tuple[float, NDArray[np.bool_], str]:
    """Return samples per second, where gaps in time end, and a note on those.

    Raises:
        DataError: names the row where time stands still or goes backwards.
        ConfigError: if nothing says the rate.
    """
    gaps = np.zeros(len(begins), dtype=bool)
    rate_hz = asked_hz or samples.rate_hz
    if samples.time_s is None:
        rate_hz = rate_hz or unsaid_hz
        if rate_hz is None:
            raise ConfigError(
                f"{samples.source}: no column of time and no rate; say the samples per second, as "
                "--rate 50Hz"
            )
        return rate_hz, gaps, ""
    steps = np.diff(samples.time_s)
    inside = ~begins[1:]
    back = np.flatnonzero(inside & (steps <= 0))
    if len(back):
        row = int(back[0]) + 1
        raise DataError(
            f"{samples.source}: row {row + samples.first_row}: time goes from "
            f"{samples.time_s[row - 1]:.6g} s to {samples.time_s[row]:.6g} s; sort the rows, or "
            "tell recordings apart by a column `recording`"
        )
    if not inside.any():
        raise DataError(f"{samples.source}: no two samples of one recording follow each other")
    usual_s = float(np.median(steps[inside]))
    if rate_hz is None:
        starts = np.flatnonzero(begins)
        require_one_rate(steps, starts, where=samples.source, first_row=samples.first_row)
    gaps[1:] = inside & (steps > _GAP * usual_s)
    note = f"; {int(gaps.sum()):,} gaps in time, which no window reaches over" if gaps.any() else ""
    return rate_hz or float(f"{1.0 / usual_s:.4g}"), gaps, note
