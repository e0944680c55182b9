"""Cuts recordings into windows and splits those so that no two splits share anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.base import SplitName
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.recordings import Recordings

_SHARES: dict[SplitName, float] = {"test": 0.2, "validation": 0.2}
_TRIES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Examples cut from recordings.

    Attributes:
        values: float32, shape [n, channels, samples].
        labels: class indices, shape [n].
        recordings: number of the recording of each, shape [n].
        groups: index of the group of each, shape [n].
        starts: place of its first sample among all of its class, shape [n].
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]
    recordings: NDArray[np.int64]
    groups: NDArray[np.int64]
    starts: NDArray[np.int64]


def cut_windows(
    found: Recordings, *, window_s: float, stride_s: float
) -> tuple[Windows, tuple[str, ...], tuple[str, ...]]:
    """Return windows, names of the classes, and notes; recordings that are too short are left out.

    Raises:
        DataError: if no recording of a class is as long as a window.
    """
    length, stride = (max(1, round(each * found.rate_hz)) for each in (window_s, stride_s))
    names = tuple(sorted({part.label for part in found.parts}))
    groups = sorted({part.group for part in found.parts})
    elapsed = dict.fromkeys(names, 0)
    values, labels, recordings, of_group, starts = [], [], [], [], []
    short = 0
    for part in found.parts:
        samples = part.values.shape[1]
        short += samples < length
        for start in range(0, samples - length + 1, stride):
            values.append(part.values[:, start : start + length])
            labels.append(names.index(part.label))
            recordings.append(part.number)
            of_group.append(groups.index(part.group))
            starts.append(elapsed[part.label] + start)
        # Beyond the reach of a window, so that windows of two recordings never look shared.
        elapsed[part.label] += samples + length
    missing = [name for at, name in enumerate(names) if at not in set(labels)]
    if missing:
        longest = max(part.values.shape[1] for part in found.parts if part.label == missing[0])
        raise DataError(
            f"{found.source}: no recording of {missing[0]!r} is as long as a window of "
            f"{window_s:g} s; the longest has {longest / found.rate_hz:.3g} s, so say a shorter "
            "--window"
        )
    notes = [
        f"{len(values):,} windows of {window_s:g} s ({length} samples), one every {stride_s:g} s"
    ]
    if short:
        notes.append(f"{short:,} stretches shorter than a window left out")
    windows = Windows(
        values=np.stack(values),
        labels=np.array(labels, dtype=np.int64),
        recordings=np.array(recordings, dtype=np.int64),
        groups=np.array(of_group, dtype=np.int64),
        starts=np.array(starts, dtype=np.int64),
    )
    return windows, names, tuple(notes)


def split_windows(
    windows: Windows, found: Recordings, names: tuple[str, ...], *, split: str | None, seed: int
) -> RawData:
    """Return three splits that share no sample, no recording and, if asked, no group.

    Args:
        split: "random" (recordings, the default), "time" or "group:COLUMN".

    Raises:
        DataError: if there are too few groups or recordings, or a split lacks a class.
    """
    groups: dict[SplitName, tuple[str, ...]] = {}
    grouped_by = ""
    if split == "time":
        places, note = _by_time(windows), "in order of time, the last of each class is test"
    else:
        by_group = split is not None and split.startswith("group:")
        units = windows.groups if by_group else windows.recordings
        what = split.partition(":")[2] if by_group and split is not None else "recording"
        places = _by_units(windows, units, what, found.source, seed)
        if by_group:
            grouped_by, known = what, sorted({part.group for part in found.parts})
            held_by = {name: np.unique(units[at]).tolist() for name, at in places.items()}
            groups = {
                name: tuple(printable(known[at]) for at in own) for name, own in held_by.items()
            }
        held = ", ".join(f"{len(np.unique(units[places[name]]))} {name}" for name in places)
        note = f"no {what} is in two splits ({held}), seed {seed}"
    labels = {name: np.unique(windows.labels[at]) for name, at in places.items()}
    for name, present in labels.items():
        if len(present) < len(names):
            absent = next(n for at, n in enumerate(names) if at not in present)
            raise DataError(
                f"{found.source}: the {name} split has no example of {absent!r}; give more "
                "recordings of it, another --seed or another --split"
            )
    # Sensors give whole numbers of 16 bits, which features and firmware without floats need.
    ends = np.iinfo(np.int16)
    is_whole = np.array_equal(windows.values, np.rint(windows.values)) and bool(
        ends.min <= windows.values.min() and windows.values.max() <= ends.max
    )
    values = windows.values.astype(np.int16) if is_whole else windows.values
    parts = {
        name: RawSplit(inputs=values[at], labels=windows.labels[at], wholes=windows.recordings[at])
        for name, at in places.items()
    }
    return RawData(
        source=found.source,
        class_names=names,
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        notes=(*found.notes, note),
        validation_from_train=True,
        sample_rate_hz=found.rate_hz,
        groups=groups,
        grouped_by=grouped_by,
    )


def _by_time(windows: Windows) -> dict[SplitName, NDArray[np.int64]]:
    """Cut each class where its windows end in time; windows over a cut are left out."""
    length = windows.values.shape[2]
    places: dict[SplitName, list[int]] = {"train": [], "validation": [], "test": []}
    for label in np.unique(windows.labels):
        own = np.flatnonzero(windows.labels == label)
        own = own[np.argsort(windows.starts[own], kind="stable")]
        first = round(len(own) * (1 - sum(_SHARES.values())))
        second = round(len(own) * (1 - _SHARES["test"]))
        cuts = [windows.starts[own[min(at, len(own) - 1)]] for at in (first, second)]
        for at in own.tolist():
            start = windows.starts[at]
            if start + length <= cuts[0]:
                places["train"].append(at)
            elif cuts[0] <= start and start + length <= cuts[1]:
                places["validation"].append(at)
            elif start >= cuts[1]:
                places["test"].append(at)
    return {name: np.array(at, dtype=np.int64) for name, at in places.items()}


def _by_units(
    windows: Windows, units: NDArray[np.int64], what: str, source: str, seed: int
) -> dict[SplitName, NDArray[np.int64]]:
    """Give whole units to splits by chance: the draw with the most even classes of many."""
    known = np.unique(units)
    if len(known) < 3:
        raise DataError(
            f"{source}: {len(known)} {what}{'' if len(known) == 1 else 's'}; three splits that "
            f"share no {what} need three or more"
        )
    random = np.random.default_rng(seed)
    drawn = [_drawn(units, random.permutation(known), len(windows.labels)) for _ in range(_TRIES)]
    return min(drawn, key=lambda found: _unevenness(found, windows.labels))


def _unevenness(
    found: dict[SplitName, NDArray[np.int64]], labels: NDArray[np.int64]
) -> tuple[int, float]:
    """Return how many classes splits lack, and how far their shares are from those of all."""
    classes = int(labels.max()) + 1
    whole = np.bincount(labels, minlength=classes) / len(labels)
    counts = [np.bincount(labels[at], minlength=classes) for at in found.values()]
    missing = sum(int((each == 0).sum()) for each in counts)
    apart = sum(float(np.abs(each / max(1, each.sum()) - whole).sum()) for each in counts)
    return missing, apart


def _drawn(
    units: NDArray[np.int64], order: NDArray[np.int64], count: int
) -> dict[SplitName, NDArray[np.int64]]:
    """Fill test and validation with units in an order until each has its share of examples."""
    sizes: dict[int, int] = dict(zip(*_counted(units), strict=True))
    left: Sequence[int] = order.tolist()
    places: dict[SplitName, NDArray[np.int64]] = {}
    for later, (name, share) in enumerate(_SHARES.items()):
        taken: list[int] = []
        held = 0
        most = len(left) - (len(_SHARES) - later)  # one for each split that follows
        while left and len(taken) < max(1, most) and (not taken or held < share * count):
            if taken and held + sizes[left[0]] / 2 > share * count:
                break
            held += sizes[left[0]]
            taken.append(left[0])
            left = left[1:]
        places[name] = np.flatnonzero(np.isin(units, taken))
    return {"train": np.flatnonzero(np.isin(units, left)), **places}


def _counted(units: NDArray[np.int64]) -> tuple[list[int], list[int]]:
    known, counts = np.unique(units, return_counts=True)
    return known.tolist(), counts.tolist()
