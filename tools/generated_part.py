"""The part of a file of facts that a program writes, below what people write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w


def with_generated(path: Path, program: str, tables: dict[str, Any]) -> str:
    """Return a file's text with the part that `program` writes replaced by `tables`.

    Args:
        path: what is above the program's mark in it stays.
        program: for the mark, for example "python -m tools.refit".
        tables: the new part; whole tables, as they follow others.

    Raises:
        FileNotFoundError: if people have not begun the file; what they write cannot be made up.
    """
    mark = f"# --- written by `{program}`; do not edit below ---"
    by_hand = path.read_text(encoding="utf-8").split(mark)[0].rstrip("\n")
    return f"{by_hand}\n\n{mark}\n\n{tomli_w.dumps(tables)}"
