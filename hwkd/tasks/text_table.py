"""A table of text: a heading and rows of cells, read from CSV whatever separates the cells."""

from __future__ import annotations

import csv
import difflib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.folder_tree import first_names

# What tools call the number of a row that they save with it.
_INDICES = frozenset({"", "id", "index", "unnamed: 0", "row"})
# Fewer values are whole numbers without a gap by chance.
_FEWEST_NUMBERED = 10
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A heading and rows of as many cells.

    Attributes:
        source: the file, for messages.
        names: of the columns.
        notes: how the text was read.
    """

    source: str
    names: tuple[str, ...]
    rows: list[list[str]]
    notes: tuple[str, ...]

    def column(self, name: str, *, option: str) -> int:
        """Return the place of a column that an option names.

        Raises:
            DataError: with the nearest names.
        """
        lower = [known.lower() for known in self.names]
        if name.lower() in lower:
            return lower.index(name.lower())
        near = difflib.get_close_matches(name.lower(), lower, n=3)
        shown = [self.names[lower.index(one)] for one in near] or self.names[:8]
        raise DataError(
            f"{self.source}: {option} {name}: no such column; "
            + (f"did you mean {' or '.join(shown)}?" if near else f"it has {', '.join(shown)}")
        )

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64]:
        """Return the values of some columns, shape [rows, columns].

        Raises:
            DataError: names the row and column of what is no finite number.
        """
        return np.array(
            [[self._numeric(row, at, line) for at in columns]
             for line, row in enumerate(self.rows, 2)]
        )  # fmt: skip

    def texts(self, at: int, *, what: str) -> NDArray[Any]:
        """Return the text of a column, none of it empty.

        Args:
            what: the text is, for the message.

        Raises:
            DataError: names the row of an empty cell.
        """
        cells = [row[at].strip() for row in self.rows]
        if "" in cells:
            raise DataError(
                f"{self.source}: row {cells.index('') + 2}, column {self.names[at]!r}: no {what}; "
                "repair or drop the row"
            )
        return np.array([printable(cell) for cell in cells])

    def is_numeric(self, at: int) -> bool:
        """Tell whether a column holds finite numbers alone."""
        return all(number_of(row[at]) is not None for row in self.rows)

    def numbers_rows(self, at: int) -> bool:
        """Tell whether a column gives each row a whole number, as tables are saved with an index.

        Rows that were shuffled keep their numbers, which tell the order that they came in.
        """
        if self.names[at].lower() not in _INDICES:
            return False
        values = [number_of(row[at]) for row in self.rows]
        return len(set(values)) == len(values) and all(
            value is not None and value.is_integer() for value in values
        )

    @property
    def first_left_out(self) -> str:
        """The note that the first column `numbers_rows` and is no feature."""
        return f"the first column, {self.names[0]!r}, numbers the rows and is left out"

    def row_number_notes(self, columns: Sequence[int], values: NDArray[np.float64]) -> list[str]:
        """Name the columns that number the rows under a name that says no such thing.

        They may be features as well, as years are, so they are kept.

        Args:
            columns: that are learned from.
            values: of them, shape [rows, columns].
        """
        count = len(values)
        if count < _FEWEST_NUMBERED:
            return []
        ordered = np.sort(values, axis=0)
        hits = (ordered == ordered[0] + np.arange(count)[:, np.newaxis]).all(axis=0)
        return [
            f"the column {self.names[columns[int(at)]]!r} numbers the rows and is learned from; "
            "if it is no feature, remove it, or put it first and call it id"
            for at in np.flatnonzero(hits & (ordered[0] == np.rint(ordered[0])))
        ]

    def _numeric(self, row: list[str], at: int, line: int) -> float:
        value = number_of(row[at])
        if value is None:
            raise DataError(
                f"{self.source}: row {line}, column {self.names[at]!r}: {printable(row[at])!r} is "
                "no finite number; repair or drop the row, or the column if it is text"
            )
        return value


def is_table(path: Path) -> bool:
    """Tell whether a file is called as a table of text is."""
    return path.is_file() and path.suffix.lower() in (".csv", ".tsv")


def read_table(path: Path) -> TextTable:
    """Read a table with a heading, cells as they are.

    Args:
        path: of the file, UTF-8, cells separated by commas, semicolons or tabs.

    Raises:
        DataError: names what is missing, or the row that is shorter or longer than the heading.
    """
    where = printable(path)
    heading, rows, delimiter = _cells(path, where)
    twice = first_names([repr(name) for name in _repeated(heading)])
    if twice:
        raise DataError(f"{where}: the heading has {twice} more than once; rename or drop a column")
    for line, row in enumerate(rows, 2):
        if len(row) != len(heading):
            raise DataError(
                f"{where}: row {line} has {len(row)} cells, the heading {len(heading)}; correct "
                "the row"
            )
    notes = [] if delimiter == "," else [f"cells are separated by {_DELIMITERS[delimiter]}"]
    if delimiter != "," and _has_decimal_commas(rows):
        rows = [[_with_point(cell) for cell in row] for row in rows]
        notes.append("a comma in a number is the decimal point")
    names = tuple(printable(name.strip()) for name in heading)
    return TextTable(source=where, names=names, rows=rows, notes=tuple(notes))


def _cells(path: Path, where: str) -> tuple[list[str], list[list[str]], str]:
    """Return heading, rows and what separates cells: what the first line has most of."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.split("\n", 1)[0]
        delimiter = max(_DELIMITERS, key=first.count)
        lines = io.StringIO(text)
        cells = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        rows = [row for row in cells if row]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: is no text in UTF-8 ({error}); save it again as CSV in UTF-8"
        ) from None
    except csv.Error as error:
        raise DataError(f"{where}: is no CSV file ({error})") from None
    if not rows or len(rows[0]) < 2 or len(rows) < 2:
        raise DataError(
            f"{where}: expected a heading of two or more columns and a row of numbers, cells "
            f"separated by {', '.join(_DELIMITERS.values())}"
        )
    return rows[0], rows[1:], delimiter


def _repeated(heading: list[str]) -> list[str]:
    """Return the names that two columns have; unnamed ones and numbers are none."""
    counts = Counter(printable(name.strip()) for name in heading)
    return [
        name for name, count in counts.items() if name and count > 1 and number_of(name) is None
    ]


def _has_decimal_commas(rows: list[list[str]]) -> bool:
    """Tell whether numbers have commas and none has a point: both may mean thousands."""
    cells = [cell for row in rows for cell in row]
    return any(_with_point(cell) != cell for cell in cells) and not any(
        "." in cell and number_of(cell) is not None for cell in cells
    )


def _with_point(cell: str) -> str:
    """Return a number with a decimal point for its comma, and text as it is."""
    pointed = cell.replace(",", ".")
    return cell if number_of(pointed) is None else pointed


def number_of(cell: str) -> float | None:
    """Return the finite number that a cell holds; None of other text."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
