"""Reads a CSV file: one example a row, features that are numbers, a target or class in a column."""

from __future__ import annotations

import csv
import difflib
import io
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.folder_tree import first_names
from hwkd.tasks.raw import RawSplit

# A column of such a name is what is learned, wherever it stands.
_TARGET_NAMES = frozenset({"label", "labels", "class", "target"})
# A column of such a name says which split a row was in elsewhere; hwkd splits anew.
_SPLIT_NAMES = frozenset(
    {"split", "splits", "subset", "partition", "fold", "folds", "set", "istrain", "istest",
     "isval", "isvalid", "isvalidation"}
)  # fmt: skip
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
        return all(_number(row[at]) is not None for row in self.rows)

    def numbers_rows(self, at: int) -> bool:
        """Tell whether a column gives each row a whole number, as tables are saved with an index.

        Rows that were shuffled keep their numbers, which tell the order that they came in.
        """
        if self.names[at].lower() not in _INDICES:
            return False
        values = [_number(row[at]) for row in self.rows]
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
        value = _number(row[at])
        if value is None:
            raise DataError(
                f"{self.source}: row {line}, column {self.names[at]!r}: {printable(row[at])!r} is "
                "no finite number; repair or drop the row, or the column if it is text"
            )
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """What a file holds.

    Attributes:
        train: inputs float32, shape [n, features, 1]; labels float64 or, of classes that are no
            numbers, text, shape [n, 1].
        features: names of the columns of the inputs.
        target: name of the column of the labels.
        notes: which columns were taken for what, and how the text was read.
    """

    source: str
    train: RawSplit
    features: tuple[str, ...]
    target: str
    notes: tuple[str, ...]


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
        label: column of the target; None looks for it.

    Raises:
        DataError: names the row and column of what is no finite number, or what is missing.
    """
    table = read_table(path)
    target = label_column(table, label)
    if all(_number(name) is not None for at, name in enumerate(table.names) if at != target):
        raise DataError(
            f"{table.source}: the first row is a row of numbers; give the columns a heading"
        )
    notes = list(table.notes)
    apart = [at for at in split_columns(table) if at != target]
    if apart:
        notes.append(
            f"left out: {', '.join(table.names[at] for at in apart)}: splits are made anew"
        )
    features = [at for at in range(len(table.names)) if at != target and at not in apart]
    if len(features) > 1 and features[0] == 0 and table.numbers_rows(0):
        notes.append(table.first_left_out)
        features = features[1:]
    values = table.numbers(features)
    notes += table.row_number_notes(features, values)
    inputs = values[:, :, np.newaxis].astype(np.float32)
    named = tuple(table.names[at] for at in features)
    kind = "class" if of_classes else "target"
    if of_classes and not table.is_numeric(target):
        labels: NDArray[Any] = table.texts(target, what="class")[:, np.newaxis]
    else:
        labels = table.numbers([target])
    return CsvTable(
        source=table.source,
        train=RawSplit(inputs=inputs, labels=labels),
        features=named,
        target=table.names[target],
        notes=(f"features: {', '.join(named)}; {kind}: {table.names[target]}", *notes),
    )


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
    return [name for name, count in counts.items() if name and count > 1 and _number(name) is None]


def _has_decimal_commas(rows: list[list[str]]) -> bool:
    """Tell whether numbers have commas and none has a point: both may mean thousands."""
    cells = [cell for row in rows for cell in row]
    return any(_with_point(cell) != cell for cell in cells) and not any(
        "." in cell and _number(cell) is not None for cell in cells
    )


def _with_point(cell: str) -> str:
    """Return a number with a decimal point for its comma, and text as it is."""
    pointed = cell.replace(",", ".")
    return cell if _number(pointed) is None else pointed


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
