"""One entry of a list that a user chooses from, in full: what it is, and its options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console

from hwkd.report.wrapped_table import WrappedTable

_COLUMNS = ("name", "default", "allowed", "meaning")


def print_entry(
    console: Console,
    *,
    name: str,
    family: str,
    summary: str,
    lines: Iterable[tuple[str, str]],
    options: Iterable[Mapping[str, object]],
) -> None:
    """Print what a method or a scheme is.

    Args:
        lines: label and text of each fact.
        options: each with name, default, allowed and meaning.
    """
    console.print(f"[bold]{name}[/bold] ({family})", highlight=False)
    console.print(f"{summary}\n", highlight=False, markup=False)
    facts = WrappedTable(box=None, show_header=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    for label, text in lines:
        facts.add_row(label, text)
    console.print(facts)
    table = WrappedTable(box=None, title="\noptions", title_justify="left")
    for column in ("option", *_COLUMNS[1:]):
        table.add_column(column)
    for entry in options:
        table.add_row(*(_shown(entry[column]) for column in _COLUMNS))
    console.print(table)


def _shown(value: object) -> str:
    """Return a value as it is written on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
