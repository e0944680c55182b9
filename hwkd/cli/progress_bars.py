"""Progress with an estimate, one bar per stage, on stderr of a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hwkd.core.errors import StoppedByUserError
from hwkd.core.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

__all__ = ["bars_on", "progress_bars", "says_what_is_saved"]


def bars_on(console: Console, *, quiet: bool = False) -> Bars:
    """Return bars with steps done, time and time left; none when `quiet` or not on a terminal."""
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    return Bars(*columns, console=console, disable=quiet or not console.is_terminal)


@contextmanager
def says_what_is_saved() -> Iterator[None]:
    """Turn an interruption that says what it saved into one line; others pass.

    Raises:
        StoppedByUserError: with that line.
    """
    try:
        yield
    except KeyboardInterrupt as stopped:
        if not str(stopped):  # before there was anything to save
            raise
        raise StoppedByUserError(str(stopped)) from None


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Progress]:
    """Give a listener that draws bars; silent when `quiet` or when stderr is piped."""
    from rich.console import Console

    stages: dict[str, TaskID] = {}
    with bars_on(Console(stderr=True), quiet=quiet) as bars:

        def tell(stage: str, done: int, total: int, note: str = "") -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=total, note=note)
            bars.update(stages[stage], completed=done, total=total, note=note)

        yield tell
