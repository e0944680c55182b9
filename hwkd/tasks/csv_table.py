"""Reads a CSV file: one example a row, features that are numbers, a target or class in a column."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.tasks.raw import RawSplit
from hwkd.tasks.text_table import TextTable, number_of, read_table
from hwkd.tasks.votes import Votes, label_columns, read_votes

# A column of such a name is what is learned, wherever it stands.
_TARGET_NAMES = frozenset({"label", "labels", "class", "target"})
# A column of such a name says which split a row was in elsewhere; hwkd splits anew.
_SPLIT_NAMES = frozenset(
    {"split", "splits", "subset", "partition", "fold", "folds", "set", "istrain", "istest",
     "isval", "isvalid", "isvalidation"}
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """What a file holds.

    Attributes:
        train: inputs float32, shape [n, features, 1]; labels float64 or, of classes that are no
            numbers, text, shape [n, 1].
        features: names of the columns of the inputs.
        target: name of the column of the labels, or of several that were asked for.
        votes: what several columns say, of which most are the labels; None of one column.
        notes: which columns were taken for what, and how the text was read.
    """

    source: str
    train: RawSplit
    features: tuple[str, ...]
    target: str
    votes: Votes | None
    notes: tuple[str, ...]


def label_column(
    table: TextTable, asked: str | None, *, others: Collection[str] = frozenset()
) -> int:
    """Return the column of the target: asked for, the one of a usual name, else the last.

    A column called y is one, too, where no other is; after one called x it is a coordinate.

    Args:
        others: lower-case names of columns that are known for something else.
    """
    if asked is not None:
        return table.column(asked, option="--label")
    lower = [name.lower() for name in table.names]
    named = [at for at, name in enumerate(lower) if name in _TARGET_NAMES] or [
        at for at, name in enumerate(lower) if name == "y" and lower[max(at - 1, 0)] != "x"
    ]
    if len(named) > 1:
        both = " and ".join(table.names[at] for at in named)
        raise DataError(
            f"{table.source}: columns {both} are called as a target is; say which one is learned, "
            f"as --label {table.names[named[-1]]}, and drop the other"
        )
    if named:
        return named[0]
    apart = split_columns(table)
    usable = (at for at, name in enumerate(lower) if name not in others and at not in apart)
    return max(usable, default=len(lower) - 1)


def split_columns(table: TextTable) -> list[int]:
    """Return the columns that say of which split a row is: no feature, whatever they hold."""
    return [
        at for at, name in enumerate(table.names)
        if name.lower().replace("_", "").replace(" ", "") in _SPLIT_NAMES
    ]  # fmt: skip


def read_csv(path: Path, *, of_classes: bool, label: str | None = None) -> CsvTable:
    """Read a table of examples, one a row.

    The target is what `label_column` finds. A first column that numbers the rows, unnamed or
    called id or index, is left out; of another name it is learned from, and a note says so.

    Args:
        path: see `read_table`.
        label: column of the target, or several of classes with commas between them; None looks.

    Raises:
        DataError: names the row and column of what is no finite number, or what is missing.
    """
    table = read_table(path)
    targets = [label_column(table, None)] if label is None else label_columns(table, label)
    target = ", ".join(table.names[at] for at in targets)
    if len(targets) > 1 and not of_classes:
        raise DataError(
            f"{table.source}: --label {label}: several columns are labels of several people, which "
            "classes have; name one column with the target"
        )
    notes = list(table.notes)
    features = _features(table, targets, notes)
    if all(number_of(name) is not None for at, name in enumerate(table.names) if at not in targets):
        raise DataError(
            f"{table.source}: the first row is a row of numbers; give the columns a heading"
        )
    values = table.numbers(features)
    notes += table.row_number_notes(features, values)
    votes = read_votes(table, targets) if len(targets) > 1 else None
    if votes is not None:
        notes.append(votes.note(target))
    named = tuple(table.names[at] for at in features)
    kind = "class" if of_classes else "target"
    return CsvTable(
        source=table.source,
        train=RawSplit(
            inputs=values[:, :, np.newaxis].astype(np.float32),
            labels=_labels(table, targets[0], of_classes) if votes is None else votes.labels,
        ),
        features=named,
        target=target,
        votes=votes,
        notes=(f"features: {', '.join(named)}; {kind}: {target}", *notes),
    )


def _features(table: TextTable, targets: list[int], notes: list[str]) -> list[int]:
    """Return the columns that are learned from, and note which others are left out."""
    apart = [at for at in split_columns(table) if at not in targets]
    if apart:
        notes.append(
            f"left out: {', '.join(table.names[at] for at in apart)}: splits are made anew"
        )
    found = [at for at in range(len(table.names)) if at not in targets and at not in apart]
    if not found:
        raise DataError(f"{table.source}: no column is left to learn from; name fewer in --label")
    if len(found) > 1 and found[0] == 0 and table.numbers_rows(0):
        notes.append(table.first_left_out)
        return found[1:]
    return found


def _labels(table: TextTable, target: int, of_classes: bool) -> NDArray[Any]:
    if of_classes and not table.is_numeric(target):
        return table.texts(target, what="class")[:, np.newaxis]
    return table.numbers([target])
