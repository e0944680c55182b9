"""A run that is watched: drawn in place on a terminal, line by line elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from hwkd.api.live import Look, shown
from hwkd.report.live import clock, worker_table
from hwkd.report.tables import front_view, headline_view, table_view

_SHOWN_LINES = 8


@contextmanager
def watching(console: Console) -> Iterator[Callable[[Look], None]]:
    """Give what shows every look: in place on a terminal, elsewhere what is new in the log."""
    if console.is_terminal:
        with Live(console=console, vertical_overflow="crop", transient=True) as live:
            yield lambda look: live.update(look_view(look), refresh=True)
        return
    printed = 0

    def say(look: Look) -> None:
        nonlocal printed
        for line in look.log[printed:]:
            text = f"{line.at}  {line.text}"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        printed = len(look.log)

    yield say


def look_view(look: Look) -> RenderableType:
    """Show a run at one moment, the most urgent first: a terminal may be low."""
    parts: list[RenderableType] = [
        Text(look.page.title, style="bold"),
        Text(look.doing, style="yellow" if look.trouble else "cyan"),
        headline_view(look.page.headlines),
    ]
    if look.workers:
        parts.append(table_view(worker_table(shown(look.workers))))
    lines = [f"{clock(line.at)}  {line.text}" for line in look.log[-_SHOWN_LINES:]]
    parts.append(Text("\n".join(lines), style="dim"))
    return Group(*parts, front_view(look.page))
