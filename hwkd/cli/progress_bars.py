"""Progress with an estimate, one bar per stage, on stderr of a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hwkd.core.progress import Progress

__all__ = ["progress_bars"]


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Progress]:
    """Give a listener that draws bars; silent when `quiet` or when stderr is piped."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    stages: dict[str, TaskID] = {}
    with Bars(*columns, console=console, disable=quiet or not console.is_terminal) as bars:

        def tell(stage: str, done: int, total: int, note: str = "") -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=total, note=note)
            bars.update(stages[stage], completed=done, total=total, note=note)

        yield tell
