"""Several people's labels of each row of a table: what most of them say, and how many said what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError, TeacherError
from hwkd.core.printable import printable
from hwkd.tasks.text_table import TextTable, number_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """What each of several columns says of each row.

    Attributes:
        names: of the classes that somebody named, sorted; numbers by their size.
        counts: how many said so, shape [rows, classes].
        labels: what most say, numbers or text, shape [rows, 1]; of as many votes that of the
            column that comes first.
        tied: rows in which as many said something else.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]
    labels: NDArray[Any]
    tied: int

    @property
    def chosen(self) -> tuple[str, ...]:
        """Name of what most say of each row."""
        return tuple(_name(each) for each in self.labels[:, 0])

    def note(self, columns: str) -> str:
        """Say how several columns became one label."""
        return f"the class is what most of {columns} say; of {self.tied:,} ties what the first says"

    def shares_of(self, classes: Sequence[str], *, where: str) -> NDArray[np.int64]:
        """Return how many chose each class of the data, shape [rows, classes].

        What most say of no row at all is no class of the data.

        Raises:
            TeacherError: if they named none of the classes.
        """
        if not set(self.names) & set(classes):
            theirs, ours = (", ".join(each[:6]) for each in (self.names, classes))
            raise TeacherError(
                f"{where}: its annotators named {theirs}, and the classes of the data are {ours}; "
                "label both alike"
            )
        counts = np.zeros((len(self.counts), len(classes)), dtype=np.int64)
        for at, name in enumerate(classes):
            if name in self.names:
                counts[:, at] = self.counts[:, self.names.index(name)]
        return counts


def label_columns(table: TextTable, asked: str) -> list[int]:
    """Return the columns that `--label` names: one, or several with commas between them.

    Raises:
        DataError: if one is not there, or is named twice.
    """
    if "," not in asked or asked.lower() in (name.lower() for name in table.names):
        return [table.column(asked, option="--label")]
    names = [name.strip() for name in asked.split(",")]
    columns = [table.column(name, option="--label") for name in names]
    if len(set(columns)) < len(columns):
        raise DataError(f"{table.source}: --label {asked}: names a column twice; name each once")
    return columns


def read_votes(table: TextTable, columns: Sequence[int]) -> Votes:
    """Count what columns say; an empty cell is of somebody who did not look at the row.

    Raises:
        DataError: names a row that nobody labelled.
    """
    cells = [[row[at].strip() for at in columns] for row in table.rows]
    unlabelled = [row for row, said in enumerate(cells) if not any(said)]
    if unlabelled:
        shown = ", ".join(table.names[at] for at in columns)
        raise DataError(
            f"{table.source}: row {unlabelled[0] + 2}: nobody labelled it in {shown}; drop the row"
        )
    return count_votes(cells)


def count_votes(cells: Sequence[Sequence[str]]) -> Votes:
    """Count what is said of each row, at least once.

    Args:
        cells: of each row, what each annotator says; empty where one did not look at it.
    """
    said = [[cell for cell in row if cell] for row in cells]
    numbers = {cell: number_of(cell) for row in said for cell in row}
    values = [value for value in numbers.values() if value is not None]
    are_numbers = len(values) == len(numbers)
    known: list[Any] = sorted(set(values) if are_numbers else {printable(c) for c in numbers})
    index = {known_one: at for at, known_one in enumerate(known)}
    counts = np.zeros((len(said), len(known)), dtype=np.int64)
    chosen, tied = [], 0
    for row, votes in enumerate(said):
        places = [index[numbers[c] if are_numbers else printable(c)] for c in votes]
        np.add.at(counts[row], places, 1)
        most = counts[row].max()
        tied += int((counts[row] == most).sum() > 1)
        chosen.append(next(at for at in places if counts[row, at] == most))
    labels = np.array(known, dtype=np.float64 if are_numbers else None)[chosen]
    return Votes(
        names=tuple(_name(each) for each in known),
        counts=counts,
        labels=labels[:, np.newaxis],
        tied=tied,
    )


def _name(value: float | str) -> str:
    """Return the name of a class as `class_indices` gives it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
