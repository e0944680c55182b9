"""Reads the measurements that a user took on a board; one CSV row is one timed inference."""

from __future__ import annotations

import csv
import difflib
import math
from dataclasses import dataclass
from pathlib import Path

from hwkd.core.errors import ConfigError

# Column -> seconds per unit; `cycles` needs no clock and is the surest.
_TIME_COLUMNS = {"latency_s": 1.0, "latency_ms": 1e-3, "latency_us": 1e-6}
_COLUMNS = ("model", "op", "cycles", *_TIME_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRow:
    """One row.

    Attributes:
        model: path of the ONNX file, relative to the CSV.
        op: node name when only that operator was timed; "" for the whole model.
        cycles: measured, or None when seconds are given.
        latency_s: measured, or None when cycles are given.
    """

    line: int
    model: str
    op: str
    cycles: float | None
    latency_s: float | None


def read_measurements(path: Path) -> tuple[MeasuredRow, ...]:
    """Read a measurement file.

    The header names `model`, one of `cycles`, `latency_s`, `latency_ms` or `latency_us`, and
    optionally `op`. Cells are separated by commas, or by semicolons, where numbers may have decimal
    commas. Lines that start with # and empty lines are comments.

    Raises:
        ConfigError: in one line, naming file and line: no file, columns missing or unknown, a value
            that is missing, not a number or not positive, or a row measured twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ConfigError(f"--measurements {path}: {reason}") from error
    numbered = [(i, line) for i, line in enumerate(text.splitlines(), 1)]
    lines = [(i, line) for i, line in numbered if line.strip() and not line.startswith("#")]
    if not lines:
        raise ConfigError(f"{path}: empty; the first line names the columns: model,latency_ms")
    separator = ";" if ";" in lines[0][1] else ","
    header = [name.strip() for name in next(csv.reader([lines[0][1]], delimiter=separator))]
    time_column = _time_column(path, header)
    rows = []
    for number, line in lines[1:]:
        cells = next(csv.reader([line], delimiter=separator))
        if separator == ";":  # a comma is a decimal point then
            at = slice(header.index(time_column), header.index(time_column) + 1)
            cells[at] = [cell.replace(",", ".") for cell in cells[at]]
        rows.append(_row(path, number, header, time_column, cells))
    if not rows:
        raise ConfigError(f"{path}: no rows below the header; measure at least one model")
    _refuse_duplicates(path, rows)
    return tuple(rows)


def _time_column(path: Path, header: list[str]) -> str:
    for name in header:
        if name not in _COLUMNS:
            near = [known for known in _COLUMNS if known.startswith(name)]
            near = near or difflib.get_close_matches(name, _COLUMNS, n=2)
            hint = f"did you mean {' or '.join(near)}" if near else f"known: {', '.join(_COLUMNS)}"
            raise ConfigError(f"{path}: column {name!r} is not one that hwkd reads; {hint}")
    found = [name for name in header if name == "cycles" or name in _TIME_COLUMNS]
    if len(found) != 1 or "model" not in header:
        raise ConfigError(
            f"{path}: columns are {', '.join(header)}; expected model and exactly one of cycles, "
            f"{', '.join(_TIME_COLUMNS)}"
        )
    if len(set(header)) != len(header):
        raise ConfigError(f"{path}: a column is named twice: {', '.join(header)}")
    return found[0]


def _row(
    path: Path, number: int, header: list[str], time_column: str, cells: list[str]
) -> MeasuredRow:
    if len(cells) != len(header):
        raise ConfigError(f"{path} line {number}: {len(cells)} cells, expected {len(header)}")
    values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
    text = values[time_column]
    try:
        value = float(text)
    except ValueError:
        given = repr(text) if text else "nothing"
        raise ConfigError(
            f"{path} line {number}: {time_column} is {given}, expected a plain number"
        ) from None
    if not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{path} line {number}: {time_column} is {text}; it must be more than 0")
    if not values["model"]:
        raise ConfigError(f"{path} line {number}: model is empty; give the ONNX file's path")
    return MeasuredRow(
        line=number,
        model=values["model"],
        op=values.get("op", ""),
        cycles=value if time_column == "cycles" else None,
        latency_s=None if time_column == "cycles" else value * _TIME_COLUMNS[time_column],
    )


def _refuse_duplicates(path: Path, rows: list[MeasuredRow]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        first = seen.setdefault((row.model, row.op), row.line)
        if first != row.line:
            what = f"{row.model} {row.op}".strip()
            raise ConfigError(
                f"{path} line {row.line}: {what} was measured on line {first} already; "
                "keep one row (the median of repeats)"
            )
