"""Text and tables as Markdown, of which text from users can make no markup."""

from __future__ import annotations

from collections.abc import Iterable


def inline(text: str) -> str:
    """Keep text from users from becoming Markdown or HTML: one line, no tags, no emphasis."""
    flat = " ".join(text.split())
    for mark in ("\\", "`", "*", "_", "[", "]", "<", ">", "#"):
        flat = flat.replace(mark, f"\\{mark}")
    return flat


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return inline(text).replace("|", "\\|")


def row(texts: Iterable[str]) -> str:
    """Return one row of a table."""
    return "| " + " | ".join(cell(text) for text in texts) + " |"


def facts_table(rows: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and values without a heading."""
    return "\n".join(("| | |", "|---|---|", *map(row, rows)))
