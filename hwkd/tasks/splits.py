"""Makes the splits that a source does not bring: seeded, and stratified where there are classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.tasks.base import SplitName
from hwkd.tasks.raw import RawData, RawSplit

# A fifth of a small set leaves enough to tell students apart; a tenth of a large one does too.
_SMALL_EXAMPLES = 10_000
_SMALL_SHARE = 0.2
_LARGE_SHARE = 0.1
# Of values; fewer say nothing about a network.
_FEWEST_VALUES = 5
# Test first, so that it does not depend on whether the source brings a validation split.
_TAKEN: tuple[SplitName, ...] = ("test", "validation")


def with_all_splits(data: RawData, *, split_seed: int) -> RawData:
    """Return `data` with a validation and a test split, taken from train where they are missing.

    Each missing split takes a fifth of the examples that train came with (a tenth from 10,000
    examples on), with the class shares of train and at least one example of each class; train
    keeps one of each as well. Where labels are values there is nothing to keep shares of.

    Raises:
        DataError: if a class has too few examples to be in every split, or there are too few at
            all.
    """
    total = len(data.train.labels)
    share = _SMALL_SHARE if total < _SMALL_EXAMPLES else _LARGE_SHARE
    count = max(round(total * share), len(data.class_names) or _FEWEST_VALUES)
    missing = [name for name in _TAKEN if data.given().get(name) is None]
    _require_enough(data, missing)
    for later, name in enumerate(missing):
        # Of each class, train keeps one example, and one for each split still to be taken.
        kept_of_each = len(missing) - later
        train, taken = _taken(data, count, split_seed, kept_of_each=kept_of_each)
        notes = _noted(data, name, len(taken.labels), split_seed)
        if name == "test":
            data = replace(data, train=train, test=taken, notes=notes)
        else:
            data = replace(
                data, train=train, validation=taken, notes=notes, validation_from_train=True
            )
    return data


def _require_enough(data: RawData, missing: list[SplitName]) -> None:
    needed = 1 + len(missing)
    if not data.class_names:
        if missing and len(data.train.labels) < needed * _FEWEST_VALUES:
            raise DataError(
                f"{data.source}: {len(data.train.labels)} train examples, too few to take a "
                f"{' and a '.join(missing)} split; at least {needed * _FEWEST_VALUES} are needed"
            )
        return
    counts = np.bincount(data.train.labels, minlength=len(data.class_names))
    few = np.flatnonzero(counts < needed)
    if not missing or not len(few):
        return
    shown = ", ".join(f"{data.class_names[i]!r} has {counts[i]}" for i in few[:6])
    more = f", ... ({len(few)} classes)" if len(few) > 6 else ""
    left_out = [note for note in data.notes if "left out" in note]
    raise DataError(
        f"{data.source}: class {shown}{more} train examples, too few to take a "
        f"{' and a '.join(missing)} split, which needs {needed} of each class; add examples, drop "
        f"the class or bring your own {' and '.join(missing)} split"
        + (f" ({'; '.join(left_out)})" if left_out else "")
    )


def _taken(data: RawData, count: int, seed: int, *, kept_of_each: int) -> tuple[RawSplit, RawSplit]:
    labels = data.train.labels
    classes = len(data.class_names)
    if not classes:
        order = np.random.RandomState(seed).permutation(len(labels))
        return _parts(data.train, order[count:], order[:count])
    # Splitting needs room for every class on both sides.
    count = min(count, len(labels) - classes)
    kept, taken = _stratified(labels, count, seed)
    kept, taken = _with_every_class(kept, taken, labels, kept_of_each)
    return _parts(data.train, kept, taken)


def _stratified(
    labels: NDArray[np.int64], count: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what is kept and what is taken, each shuffled, with the class shares of all.

    The same as `sklearn.model_selection.train_test_split` gives, with which older runs were made;
    importing that takes a second, in every process.
    """
    random = np.random.RandomState(seed)
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(places, kind="stable"), np.cumsum(counts)[:-1])
    kept_of = _shares(counts, len(labels) - count, random)
    taken_of = _shares(counts - kept_of, count, random)
    kept, taken = [], []
    for indices, keeps, takes in zip(members, kept_of, taken_of, strict=True):
        order = indices[random.permutation(len(indices))]
        kept.append(order[:keeps])
        taken.append(order[keeps : keeps + takes])
    return random.permutation(np.concatenate(kept)), random.permutation(np.concatenate(taken))


def _shares(
    counts: NDArray[np.int64], drawn: int, random: np.random.RandomState
) -> NDArray[np.int64]:
    """Return how many of each class to draw: its share rounded, ties broken at random."""
    exact = counts / counts.sum() * drawn
    found: NDArray[np.float64] = np.floor(exact)
    rest, left = exact - found, int(drawn - found.sum())
    for value in np.unique(rest)[::-1]:
        if left <= 0:
            break
        (tied,) = np.nonzero(rest == value)
        more = random.choice(tied, size=min(len(tied), left), replace=False)
        found[more] += 1
        left -= len(more)
    drawn_of: NDArray[np.int64] = found.astype(np.int64)
    return drawn_of


def _parts(
    split: RawSplit, kept: NDArray[np.int64], taken: NDArray[np.int64]
) -> tuple[RawSplit, RawSplit]:
    return (
        RawSplit(inputs=split.inputs[kept], labels=split.labels[kept]),
        RawSplit(inputs=split.inputs[taken], labels=split.labels[taken]),
    )


def _with_every_class(
    kept: NDArray[np.int64], taken: NDArray[np.int64], labels: NDArray[np.int64], kept_of_each: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Exchange examples until each class has one in `taken` and `kept_of_each` in `kept`.

    Shares of a rare class round to none; sizes stay as they are where other classes can give.
    """
    is_taken = np.zeros(len(labels), dtype=bool)
    is_taken[taken] = True
    order = np.concatenate([kept, taken])  # shuffled by the seed
    classes = int(labels.max()) + 1
    surplus = 0
    for label in range(classes):
        members = order[labels[order] == label]
        now = int(is_taken[members].sum())
        wanted = min(max(now, 1), len(members) - kept_of_each)
        if wanted != now:
            movable = members[is_taken[members] == (wanted < now)][: abs(wanted - now)]
            is_taken[movable] = wanted > now
            surplus += wanted - now
    while surplus:
        counts = np.bincount(labels[is_taken == (surplus > 0)], minlength=classes)
        label = int(counts.argmax())
        members = order[labels[order] == label]
        side = is_taken[members]
        least = 1 if surplus > 0 else kept_of_each
        if counts[label] <= least:
            break
        is_taken[members[side == (surplus > 0)][0]] = surplus < 0
        surplus -= 1 if surplus > 0 else -1
    return np.flatnonzero(~is_taken), np.flatnonzero(is_taken)


def _noted(data: RawData, name: str, count: int, seed: int) -> tuple[str, ...]:
    how = "stratified" if data.class_names else "at random"
    return (*data.notes, f"{name} split of {count:,} taken from train, {how}, seed {seed}")
