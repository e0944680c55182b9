"""Reads recordings of sensors: a CSV table or an NPZ archive with one row or entry per sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import ConfigError, DataError
from hwkd.core.printable import printable
from hwkd.core.reading import Reading
from hwkd.tasks.csv_table import TextTable, is_table, label_column, read_table, split_columns
from hwkd.tasks.npz import read_arrays
from hwkd.tasks.sources import is_zip
from hwkd.tasks.sources import reading as opened
from hwkd.tasks.time_column import in_seconds, is_time, require_one_rate

RECORDING_FORMATS = (
    "a CSV file with a heading and one row for each sample (numbers, a label, and as you have them "
    "recording, time and subject), or an NPZ file with x of shape (samples, channels), y, and "
    "recording, rate and subject"
)
_RECORDINGS = frozenset(
    {
        "recording",
        "recording_id",
        "record",
        "file",
        "filename",
        "session",
        "trial",
        "series",
        "clip",
    }
)
# Who or what made a recording; never a sensor.
_WHO = frozenset({"subject", "user", "person", "participant", "group", "device", "side"})
_INPUTS = ("x", "data", "samples", "signal", "values")
_LABELS = ("y", "label", "labels", "class", "target")
_NAMES = ("channel_names", "channels", "columns")
_RATES = ("rate", "rate_hz", "sample_rate", "sampling_rate", "fs")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Samples:
    """One entry for every sample; None of what the file does not say."""

    source: str
    channels: tuple[str, ...]
    values: NDArray[np.float64]
    labels: NDArray[Any]
    recordings: NDArray[Any] | None
    groups: NDArray[Any] | None
    time_s: NDArray[np.float64] | None
    rate_hz: float | None
    first_row: int
    notes: tuple[str, ...]


def read_recordings(path: Path, reading: Reading) -> Recordings:
    """Read recordings; a new one begins with another label, another group or after a gap in time.

    Raises:
        DataError: names file and row of what is missing, no number, or out of order.
        ConfigError: if nothing says the rate.
    """
    group = group_of(reading)
    with opened(path, takes=RECORDING_FORMATS):
        if is_table(path):
            return _cut(_of_table(read_table(path), reading, group), reading)
        if path.is_file() and is_zip(path):
            return _cut(_of_arrays(path, reading, group), reading)
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
    passed = _RECORDINGS | _WHO | set(_LABELS) - {"y"}
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


def _of_table(table: TextTable, reading: Reading, group: str | None) -> _Samples:
    lower = [name.lower() for name in table.names]
    times = [at for at, name in enumerate(lower) if is_time(name)]
    known = {*_RECORDINGS, *_WHO, *(lower[at] for at in times)}
    label = label_column(table, reading.label, others=known)
    who = None if group is None else table.column(group, option="--group")
    recording = next((at for at, name in enumerate(lower) if name in _RECORDINGS), None)
    time = next((at for at, name in enumerate(lower) if is_time(name)), None)
    used = {label, who, recording, time}
    others = [at for at, name in enumerate(lower) if name in _WHO and at not in used]
    beside = [*(at for at in times if at not in used), *split_columns(table)]
    sensors = [at for at in range(len(lower)) if at not in used | {*others, *beside}]
    is_numbered = bool(sensors) and sensors[0] == 0 and table.numbers_rows(0)
    sensors = sensors[1:] if is_numbered else sensors
    if not sensors:
        raise DataError(f"{table.source}: no column of numbers beside {', '.join(table.names)}")
    channels = tuple(table.names[at] for at in sensors)
    notes = [*table.notes, f"channels: {', '.join(channels)}; label: {table.names[label]}"]
    notes += [table.first_left_out] if is_numbered else []
    if others:
        left = ", ".join(table.names[at] for at in others)
        notes.append(f"{left} left out; --group {table.names[others[0]]} keeps each apart")
    if beside:
        notes.append(f"left out: {', '.join(table.names[at] for at in beside)}: no sensor")
    time_s = None
    if time is not None:
        time_s, said = in_seconds(table.numbers([time])[:, 0], table.names[time])
        notes += [said] if said else []
    values = table.numbers(sensors)
    notes += table.row_number_notes(sensors, values)
    return _Samples(
        source=table.source,
        channels=channels,
        values=values,
        labels=table.texts(label, what="label"),
        recordings=None if recording is None else table.texts(recording, what="recording"),
        groups=None if who is None else table.texts(who, what="group"),
        time_s=time_s,
        rate_hz=None,
        first_row=2,
        notes=tuple(notes),
    )


def _of_arrays(path: Path, reading: Reading, group: str | None) -> _Samples:
    where, arrays = printable(path), read_arrays(path)
    lower = {name.lower(): name for name in arrays}

    def named(names: Sequence[str]) -> NDArray[Any] | None:
        found = next((lower[name] for name in names if name in lower), None)
        return None if found is None else arrays[found]

    values, labels = named(_INPUTS), named([reading.label.lower()] if reading.label else _LABELS)
    if values is None or labels is None:
        shown = ", ".join(map(printable, arrays))
        what = "x" if values is None else reading.label or "y"
        raise DataError(f"{where}: needs x and y, has no {what} among {shown}")
    if values.ndim != 2 or values.dtype.kind not in "iuf" or not len(values):
        raise DataError(
            f"{where}: x has shape {values.shape} and type {values.dtype}; expected numbers of "
            "shape (samples, channels), all recordings one after another, and `recording` to tell "
            "them apart"
        )
    recordings = named(sorted(_RECORDINGS))
    groups = None if group is None else named([group.lower()])
    if group is not None and groups is None:
        raise DataError(
            f"{where}: --split group:{group}: no such array; it has "
            f"{', '.join(map(printable, arrays))}"
        )
    rate, names = named(_RATES), named(_NAMES)
    clock = next((name for name in arrays if is_time(name)), None)
    channels = tuple(f"channel {at}" for at in range(1, values.shape[1] + 1))
    if names is not None and names.size == values.shape[1]:
        channels = tuple(printable(str(name)) for name in names.ravel())
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        row = int(np.flatnonzero(~np.isfinite(wide).all(axis=1))[0])
        raise DataError(
            f"{where}: x holds a NaN or infinite value at sample {row}; repair or drop it"
        )
    notes = [f"channels: {', '.join(channels)}"]
    known = {*_INPUTS, *_LABELS, *_RECORDINGS, *_RATES, *_NAMES, *_WHO, reading.label, group}
    left = [name for name in arrays if name.lower() not in known and name != clock]
    if left:
        notes.append(f"left out: {', '.join(map(printable, left))}")
    time_s = None
    if clock is not None:
        ticks = _as_numbers(arrays[clock], len(values), where, "the time")
        time_s, said = in_seconds(ticks, clock)
        notes += [said] if said else []
    return _Samples(
        source=where,
        channels=channels,
        values=wide,
        labels=_of_samples(labels, recordings, len(values), where, "labels"),
        recordings=None
        if recordings is None
        else _of_samples(recordings, None, len(values), where, "numbers of recordings"),
        groups=None
        if groups is None
        else _of_samples(groups, recordings, len(values), where, str(group)),
        time_s=time_s,
        rate_hz=None if rate is None else float(_as_numbers(rate, 1, where, "the rate")[0]),
        first_row=0,
        notes=tuple(notes),
    )


def _as_numbers(given: NDArray[Any], size: int, where: str, what: str) -> NDArray[np.float64]:
    flat = given.ravel()
    if flat.dtype.kind not in "iuf" or len(flat) != size or not np.isfinite(flat).all():
        raise DataError(
            f"{where}: {what} is {len(flat):,} values of type {flat.dtype}; expected {size:,} "
            f"finite number{'s' * (size > 1)}"
        )
    return flat.astype(np.float64)


def _of_samples(
    given: NDArray[Any], recordings: NDArray[Any] | None, samples: int, where: str, what: str
) -> NDArray[Any]:
    """Return one text for each sample, of values for samples or for recordings in their order."""
    flat = given.ravel()
    if len(flat) != samples and recordings is not None:
        _, first, places = np.unique(recordings, return_index=True, return_inverse=True)
        if len(flat) == len(first):
            order = np.argsort(np.argsort(first))  # recordings by their first sample
            flat = flat[order[places.ravel()]]
    if len(flat) != samples:
        raise DataError(
            f"{where}: {len(given.ravel()):,} {what} for {samples:,} samples; give one for each "
            "sample, or `recording` and one for each recording"
        )
    return np.array([printable(str(value)) for value in flat.tolist()])


def _cut(samples: _Samples, reading: Reading) -> Recordings:
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
    rate_hz, gaps, note = _rate(samples, begins, reading.rate_hz)
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


def _numbers(samples: _Samples, whole: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the recording of each sample: its own column with its label, else each stretch."""
    if samples.recordings is None:
        return whole
    both = np.char.add(np.char.add(samples.recordings.astype(str), "\n"), samples.labels)
    numbers: NDArray[np.int64] = np.unique(both, return_inverse=True)[1].ravel()
    return numbers


def _rate(
    samples: _Samples, begins: NDArray[np.bool_], asked_hz: float | None
) -> tuple[float, NDArray[np.bool_], str]:
    """Return samples per second, where gaps in time end, and a note on those.

    Raises:
        DataError: names the row where time stands still or goes backwards.
        ConfigError: if nothing says the rate.
    """
    gaps = np.zeros(len(begins), dtype=bool)
    rate_hz = asked_hz or samples.rate_hz
    if samples.time_s is None:
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
