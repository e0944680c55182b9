"""Reads a CSV file of numbers: one example a row, the target in the last column."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.raw import RawData, RawSplit


def read_csv(path: Path) -> tuple[RawData, tuple[str, ...]]:
    """Read features and target; returns the data and the name of the target.

    Raises:
        DataError: names the row and column of what is no finite number, or what is missing.
    """
    where = printable(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            heading, *rows = [row for row in csv.reader(stream) if row] or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where}: is no CSV file of UTF-8 text ({error})") from None
    if len(heading) < 2 or not rows:
        raise DataError(f"{where}: expected a heading of two or more columns and a row of numbers")
    if all(_number(cell) is not None for cell in heading):
        raise DataError(f"{where}: the first row is a row of numbers; give the columns a heading")
    table = np.array([_numbers(row, heading, where, line) for line, row in enumerate(rows, 2)])
    names = [printable(name.strip()) for name in heading]
    raw = RawData(
        source=where,
        class_names=(),
        train=RawSplit(inputs=table[:, :-1, np.newaxis].astype(np.float32), labels=table[:, -1:]),
        notes=(f"features: {', '.join(names[:-1])}; target: {names[-1]}",),
    )
    return raw, (names[-1],)


def _numbers(row: list[str], heading: list[str], where: str, line: int) -> list[float]:
    if len(row) != len(heading):
        raise DataError(
            f"{where}: row {line} has {len(row)} cells, the heading {len(heading)}; correct the row"
        )
    found = [_number(cell) for cell in row]
    for name, cell, value in zip(heading, row, found, strict=True):
        if value is None:
            raise DataError(
                f"{where}: row {line}, column {printable(name)!r}: {printable(cell)!r} is no "
                "finite number; repair or drop the row"
            )
    return [value for value in found if value is not None]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
