"""Makes the splits that a source does not bring: stratified and seeded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwkd.core.errors import DataError
from hwkd.tasks.raw import RawData, RawSplit

__all__ = ["with_all_splits"]

# A fifth of a small set leaves enough to tell students apart; a tenth of a large one does too.
_SMALL_EXAMPLES = 10_000
_SMALL_SHARE = 0.2
_LARGE_SHARE = 0.1


def with_all_splits(data: RawData, *, split_seed: int) -> RawData:
    """Return `data` with a validation and a test split, taken from train where they are missing.

    Each missing split takes a fifth of the examples that train came with (a tenth from 10,000
    examples on), with the class shares of train.

    Raises:
        DataError: if a class has too few examples to be in every split.
    """
    total = len(data.train.labels)
    share = _SMALL_SHARE if total < _SMALL_EXAMPLES else _LARGE_SHARE
    count = max(round(total * share), len(data.class_names))
    if data.test is None:
        train, test = _taken(data, count, split_seed, "test")
        data = replace(data, train=train, test=test, notes=_noted(data, "test", count, split_seed))
    if data.validation is None:
        train, validation = _taken(data, count, split_seed, "validation")
        notes = _noted(data, "validation", count, split_seed)
        data = replace(data, train=train, validation=validation, notes=notes)
    return data


def _taken(data: RawData, count: int, seed: int, name: str) -> tuple[RawSplit, RawSplit]:
    # Importing scikit-learn takes a second; sources that bring their splits never need it.
    from sklearn.model_selection import train_test_split

    labels = data.train.labels
    counts = np.bincount(labels, minlength=len(data.class_names))
    if counts.min() < 2 or len(labels) - count < len(data.class_names):
        raise DataError(
            f"{data.source}: class {data.class_names[int(counts.argmin())]!r} has "
            f"{int(counts.min())} train examples, too few to take a {name} split; "
            f"add examples or bring your own {name} split"
        )
    kept, taken = train_test_split(
        np.arange(len(labels)), test_size=count, random_state=seed, stratify=labels
    )
    kept.sort()
    taken.sort()
    return (
        RawSplit(inputs=data.train.inputs[kept], labels=labels[kept]),
        RawSplit(inputs=data.train.inputs[taken], labels=labels[taken]),
    )


def _noted(data: RawData, name: str, count: int, seed: int) -> tuple[str, ...]:
    return (*data.notes, f"{name} split of {count:,} taken from train, stratified, seed {seed}")
