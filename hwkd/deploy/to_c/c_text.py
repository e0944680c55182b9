"""C definitions of constants, readable and counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from hwkd.core.c_literal import float_literal

_INT8_PER_LINE = 24
_ALIGNMENT_BYTES = 8
_FLOATS_PER_LINE = 6
_INT32_PER_LINE = 10
_STRUCTS_PER_LINE = 4

# Kind and content of a definition -> name under which it stands.
Known: TypeAlias = dict[tuple[str, str], str]


def struct(**fields: int | str) -> str:
    """Return an initialiser with designated fields, four on a line."""
    parts = [f".{name} = {value}" for name, value in fields.items()]
    lines = (", ".join(parts[start : start + 4]) for start in range(0, len(parts), 4))
    return "{\n    " + ",\n    ".join(lines) + ",\n}"


class Constants:
    """Definitions of one step, in the order in which they are added; equal ones are made once."""

    def __init__(self, known: Known) -> None:
        """Begin with nothing but the definitions of earlier steps, to which it adds."""
        self.definitions: list[str] = []
        self.size_bytes = 0
        self._known = known

    def int8(
        self, name: str, values: np.ndarray[Any, np.dtype[np.int8]], *, slack_bytes: int = 0
    ) -> str:
        """Define an aligned int8 array, longer by `slack_bytes` zeros, and return its name."""
        size = values.size + slack_bytes
        lines = _lines((str(int(value)) for value in values.reshape(-1)), _INT8_PER_LINE)
        size_bytes = -(-size // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
        return self._array("int8_t HWKD_ALIGNED", name, size, lines, size_bytes)

    def int32(self, name: str, values: np.ndarray[Any, np.dtype[Any]]) -> str:
        """Define an int32 array and return its name."""
        lines = _lines((str(int(value)) for value in values.reshape(-1)), _INT32_PER_LINE)
        return self._array("int32_t", name, values.size, lines, 4 * values.size)

    def floats(self, name: str, values: np.ndarray[Any, np.dtype[np.float32]]) -> str:
        """Define a float array and return its name."""
        literals = (float_literal(value) for value in values)
        lines = _lines(literals, _FLOATS_PER_LINE)
        return self._array("float", name, values.size, lines, 4 * values.size)

    def structs(self, kind: str, name: str, rows: Sequence[str], *, row_bytes: int) -> str:
        """Define an array of flat structs and return its name."""
        lines = _lines((f"{{{row}}}" for row in rows), _STRUCTS_PER_LINE)
        return self._array(kind, name, len(rows), lines, row_bytes * len(rows))

    def struct(self, kind: str, name: str, initialiser: str) -> str:
        """Define one struct and return its name."""
        return self._define(kind, name, f" = {initialiser}", _row_bytes(initialiser))

    def _array(self, kind: str, name: str, size: int, lines: Iterable[str], size_bytes: int) -> str:
        body = "".join(f"    {line},\n" for line in lines)
        return self._define(kind, name, f"[{size}] = {{\n{body}}}", size_bytes)

    def _define(self, kind: str, name: str, rest: str, size_bytes: int) -> str:
        known = self._known.setdefault((kind, rest), name)
        if known == name:
            self.definitions.append(f"static const {kind} {name}{rest};")
            self.size_bytes += size_bytes
        return known


def _row_bytes(initialiser: str) -> int:
    """Return the bytes of a struct: words, but for trailing zero points and shifts of one byte."""
    values = initialiser.count(",") + (0 if initialiser.rstrip("}\n").endswith(",") else 1)
    return 4 * values


def _lines(values: Iterable[str], per_line: int) -> Iterable[str]:
    row: list[str] = []
    for value in values:
        row.append(value)
        if len(row) == per_line:
            yield ", ".join(row)
            row = []
    if row:
        yield ", ".join(row)
