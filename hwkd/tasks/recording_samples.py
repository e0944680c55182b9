"""Samples of sensors one after another, as a table or an archive holds them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.core.reading import Reading
from hwkd.tasks.csv_table import label_column, split_columns
from hwkd.tasks.npz import read_arrays
from hwkd.tasks.text_table import TextTable
from hwkd.tasks.time_column import in_seconds, is_time

RECORDINGS = frozenset(
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
WHO = frozenset({"subject", "user", "person", "participant", "group", "device", "side"})
_INPUTS = ("x", "data", "samples", "signal", "values")
LABELS = ("y", "label", "labels", "class", "target")
_NAMES = ("channel_names", "channels", "columns")
_RATES = ("rate", "rate_hz", "sample_rate", "sampling_rate", "fs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
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


def samples_of_table(table: TextTable, reading: Reading, group: str | None) -> Samples:
    """Return the rows of a table, whose columns their names tell apart.

    Args:
        group: column that keeps examples together.

    Raises:
        DataError: if the label or all sensors are missing.
    """
    lower = [name.lower() for name in table.names]
    times = [at for at, name in enumerate(lower) if is_time(name)]
    known = {*RECORDINGS, *WHO, *(lower[at] for at in times)}
    label = label_column(table, reading.label, others=known)
    who = None if group is None else table.column(group, option="--group")
    recording = next((at for at, name in enumerate(lower) if name in RECORDINGS), None)
    time = next((at for at, name in enumerate(lower) if is_time(name)), None)
    used = {label, who, recording, time}
    others = [at for at, name in enumerate(lower) if name in WHO and at not in used]
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
    return Samples(
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


def samples_of_arrays(path: Path, reading: Reading, group: str | None) -> Samples:
    """Return the entries of an archive, whose arrays their names tell apart.

    Args:
        group: array that keeps examples together.

    Raises:
        DataError: names the array that is missing, or not as it must be.
    """
    archive = _Archive(printable(path), read_arrays(path))
    values, labels = archive.signal(reading.label)
    count = len(values)
    recordings = archive.named(sorted(RECORDINGS))
    groups = None if group is None else archive.group(group)
    channels = archive.channels(values.shape[1])
    time_s, clock, said = archive.time(count)
    left = archive.others({*WHO, reading.label, group, clock})
    notes = [f"channels: {', '.join(channels)}"]
    if left:
        notes.append(f"left out: {', '.join(left)}")
    return Samples(
        source=archive.where,
        channels=channels,
        values=values,
        labels=archive.of_samples(labels, recordings, count, "labels"),
        recordings=None
        if recordings is None
        else archive.of_samples(recordings, None, count, "numbers of recordings"),
        groups=None
        if groups is None
        else archive.of_samples(groups, recordings, count, str(group)),
        time_s=time_s,
        rate_hz=archive.rate_hz(),
        first_row=0,
        notes=(*notes, *said),
    )


@dataclass(frozen=True, slots=True)
class _Archive:
    """Named arrays of a file; case does not matter."""

    where: str
    arrays: Mapping[str, NDArray[Any]]

    def named(self, names: Sequence[str]) -> NDArray[Any] | None:
        """Return the array of the first name that there is."""
        lower = {name.lower(): name for name in self.arrays}
        found = next((lower[name] for name in names if name in lower), None)
        return None if found is None else self.arrays[found]

    def signal(self, label: str | None) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return values, shape [samples, channels], and labels."""
        values, labels = self.named(_INPUTS), self.named([label.lower()] if label else LABELS)
        if values is None or labels is None:
            what = "x" if values is None else label or "y"
            raise DataError(f"{self.where}: needs x and y, has no {what} among {self._shown()}")
        if values.ndim != 2 or values.dtype.kind not in "iuf" or not len(values):
            raise DataError(
                f"{self.where}: x has shape {values.shape} and type {values.dtype}; expected "
                "numbers of shape (samples, channels), all recordings one after another, and "
                "`recording` to tell them apart"
            )
        wide = values.astype(np.float64)
        if not np.isfinite(wide).all():
            row = int(np.flatnonzero(~np.isfinite(wide).all(axis=1))[0])
            raise DataError(
                f"{self.where}: x holds a NaN or infinite value at sample {row}; repair or drop it"
            )
        return wide, labels

    def group(self, name: str) -> NDArray[Any]:
        """Return who made each sample or recording."""
        found = self.named([name.lower()])
        if found is None:
            raise DataError(
                f"{self.where}: --split group:{name}: no such array; it has {self._shown()}"
            )
        return found

    def channels(self, count: int) -> tuple[str, ...]:
        """Return the names of the channels, numbers where the file has none."""
        names = self.named(_NAMES)
        if names is not None and names.size == count:
            return tuple(printable(str(name)) for name in names.ravel())
        return tuple(f"channel {at}" for at in range(1, count + 1))

    def time(self, count: int) -> tuple[NDArray[np.float64] | None, str | None, list[str]]:
        """Return the time of each sample, the array's name and notes, where there is one."""
        clock = next((name for name in self.arrays if is_time(name)), None)
        if clock is None:
            return None, None, []
        time_s, said = in_seconds(self._as_numbers(self.arrays[clock], count, "the time"), clock)
        return time_s, clock, [said] if said else []

    def rate_hz(self) -> float | None:
        """Return samples per second, where the file says them."""
        rate = self.named(_RATES)
        return None if rate is None else float(self._as_numbers(rate, 1, "the rate")[0])

    def others(self, used: Collection[str | None]) -> list[str]:
        """Return the arrays that nothing is read from, besides those in `used`."""
        known = {*_INPUTS, *LABELS, *RECORDINGS, *_RATES, *_NAMES, *used}
        return [printable(name) for name in self.arrays if not {name, name.lower()} & known]

    def of_samples(
        self, given: NDArray[Any], recordings: NDArray[Any] | None, samples: int, what: str
    ) -> NDArray[Any]:
        """Return one text for each sample, of values for samples or recordings in their order."""
        flat = given.ravel()
        if len(flat) != samples and recordings is not None:
            _, first, places = np.unique(recordings, return_index=True, return_inverse=True)
            if len(flat) == len(first):
                order = np.argsort(np.argsort(first))  # recordings by their first sample
                flat = flat[order[places.ravel()]]
        if len(flat) != samples:
            raise DataError(
                f"{self.where}: {len(given.ravel()):,} {what} for {samples:,} samples; give one "
                "for each sample, or `recording` and one for each recording"
            )
        return np.array([printable(str(value)) for value in flat.tolist()])

    def _as_numbers(self, given: NDArray[Any], size: int, what: str) -> NDArray[np.float64]:
        flat = given.ravel()
        if flat.dtype.kind not in "iuf" or len(flat) != size or not np.isfinite(flat).all():
            raise DataError(
                f"{self.where}: {what} is {len(flat):,} values of type {flat.dtype}; expected "
                f"{size:,} finite number{'s' * (size > 1)}"
            )
        return flat.astype(np.float64)

    def _shown(self) -> str:
        return ", ".join(map(printable, self.arrays))
