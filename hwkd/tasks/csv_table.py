"""Reads a CSV file: one example a row, features that are numbers, a target or class in a column."""

from __future__ import annotations

import csv
from collections import Counter
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
_TARGET_NAMES = frozenset({"label", "labels", "class", "target", "y"})
# What tools call the number of a row that they save with it.
_INDICES = frozenset({"", "id", "index", "unnamed: 0", "row"})
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """What a file holds.

    Attributes:
        train: inputs float32, shape [n, features, 1]; labels float64 or, of classes that are no
            numbers, text, shape [n, 1].
        target: name of the column of the labels.
        notes: which columns were taken for what, and how the text was read.
    """

    source: str
    train: RawSplit
    target: str
    notes: tuple[str, ...]


def is_table(path: Path) -> bool:
    """Tell whether a file is called as a table of text is."""
    return path.is_file() and path.suffix.lower() in (".csv", ".tsv")


def read_csv(path: Path, *, of_classes: bool) -> CsvTable:
    """Read a table with a heading.

    The target is the one column called label, class, target or y, else the last. A first column
    that counts the rows, unnamed or called id or index, is left out.

    Args:
        path: of the file, UTF-8, cells separated by commas, semicolons or tabs.

    Raises:
        DataError: names the row and column of what is no finite number, or what is missing.
    """
    where = printable(path)
    heading, rows, delimiter = _cells(path, where)
    target = _target(heading)
    if all(_number(cell) is not None for at, cell in enumerate(heading) if at != target):
        raise DataError(f"{where}: the first row is a row of numbers; give the columns a heading")
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
        rows = [[cell.replace(",", ".") for cell in row] for row in rows]
        notes.append("a comma in a number is the decimal point")
    names = [printable(name.strip()) for name in heading]
    features = [at for at in range(len(heading)) if at != target]
    if len(features) > 1 and features[0] == 0 and names[0].lower() in _INDICES and _counts(rows):
        notes.append(f"the first column, {names[0]!r}, counts the rows and is left out")
        features = features[1:]
    table = np.array([[_numeric(row, at, names, where, line) for at in features]
                      for line, row in enumerate(rows, 2)])  # fmt: skip
    inputs = table[:, :, np.newaxis].astype(np.float32)
    labels = _labels(rows, target, names, where, of_classes=of_classes)
    shown = ", ".join(names[at] for at in features)
    kind = "class" if of_classes else "target"
    return CsvTable(
        source=where,
        train=RawSplit(inputs=inputs, labels=labels),
        target=names[target],
        notes=(f"features: {shown}; {kind}: {names[target]}", *notes),
    )


def _cells(path: Path, where: str) -> tuple[list[str], list[list[str]], str]:
    """Return heading, rows and what separates cells: what the first line has most of."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.split("\n", 1)[0]
        delimiter = max(_DELIMITERS, key=first.count)
        rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if row]
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
    """Return the names that two columns have, as they are; unnamed columns have none."""
    counts = Counter(printable(name.strip()) for name in heading)
    return [name for name, count in counts.items() if name and count > 1]


def _target(heading: list[str]) -> int:
    named = [at for at, name in enumerate(heading) if name.strip().lower() in _TARGET_NAMES]
    return named[0] if len(named) == 1 else len(heading) - 1


def _has_decimal_commas(rows: list[list[str]]) -> bool:
    """Tell whether numbers have commas and none has a point: both may mean thousands."""
    cells = [cell for row in rows for cell in row]
    decimals = [
        cell for cell in cells if "," in cell and _number(cell.replace(",", ".")) is not None
    ]
    return bool(decimals) and not any("." in cell and _number(cell) is not None for cell in cells)


def _counts(rows: list[list[str]]) -> bool:
    """Tell whether the first column counts from 0 or 1, as tables are saved with their index."""
    values = [_number(row[0]) for row in rows]
    return values[0] in (0, 1) and values == [values[0] + step for step in range(len(rows))]


def _labels(
    rows: list[list[str]], at: int, names: list[str], where: str, *, of_classes: bool
) -> NDArray[Any]:
    cells = [row[at].strip() for row in rows]
    if not of_classes or all(_number(cell) is not None for cell in cells):
        values = [_numeric(row, at, names, where, line) for line, row in enumerate(rows, 2)]
        return np.array(values)[:, np.newaxis]
    if "" in cells:
        raise DataError(
            f"{where}: row {cells.index('') + 2}, column {names[at]!r}: no class; repair or drop "
            "the row"
        )
    return np.array([printable(cell) for cell in cells])[:, np.newaxis]


def _numeric(row: list[str], at: int, names: list[str], where: str, line: int) -> float:
    value = _number(row[at])
    if value is None:
        raise DataError(
            f"{where}: row {line}, column {names[at]!r}: {printable(row[at])!r} is no finite "
            "number; repair or drop the row, or the column if it is text"
        )
    return value


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
