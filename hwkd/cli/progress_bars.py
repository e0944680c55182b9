"""Where work is and how long it still takes, on stderr: bars in a terminal, else lines."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hwkd.core.errors import StoppedByUserError
from hwkd.core.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

# A line after so many seconds, and later after so much of the time since the stage began.
_FIRST_S, _LATER_SHARE = 10.0, 0.15


@contextmanager
def listening(function: Callable[..., Any], *, quiet: bool) -> Iterator[Mapping[str, Any]]:
    """Give the listener that a function of `hwkd` takes, by its parameter; none when `quiet`.

    Raises:
        StoppedByUserError: when the work was interrupted and said what it saved.
    """
    from rich.console import Console

    takes = inspect.signature(function).parameters
    with _says_what_is_saved():
        if quiet or not {"listener", "progress", "on_look"} & set(takes):
            yield {}
            return
        console = Console(stderr=True)
        if "on_look" in takes:
            from hwkd.cli.watch_view import watching

            with watching(console) as look:
                yield {"on_look": look}
            return
        with drawn_on(console) as tell:
            if "progress" in takes:
                yield {"progress": tell}
                return
            from hwkd.cli.search_display import SearchDisplay

            yield {"listener": SearchDisplay(console=console, tell=tell)}


@contextmanager
def drawn_on(console: Console) -> Iterator[Progress]:
    """Give a listener that draws bars on a terminal, and says lines where there is none."""
    if not console.is_terminal:
        yield Lines(lambda line: _plain(console, line))
        return
    stages: dict[str, TaskID] = {}
    with _bars_on(console) as bars:

        def tell(stage: str, done: int, total: int, note: str = "") -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=total, note=note)
            bars.update(stages[stage], completed=done, total=total, note=note)

        yield tell


@dataclass
class Lines:
    """Says in a line now and then how far a stage is, for a log; see `hwkd.core.progress.Progress`.

    A stage is named when it begins. Lines come every ten seconds at first and rarer later, so that
    hours do not fill pages.

    Attributes:
        clock: seconds, monotonic.
    """

    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _stages: dict[str, _Begun] = field(default_factory=dict)

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear of an advance."""
        from hwkd.report import format as fmt

        now_s = self.clock()
        begun = self._stages.get(stage)
        if begun is None:
            self._stages[stage] = _Begun(since_s=now_s, done=done, said_s=now_s)
            self.say(stage)
            return
        taken_s = now_s - begun.since_s
        if now_s - begun.said_s < max(_FIRST_S, _LATER_SHARE * taken_s):
            return
        begun.said_s = now_s
        parts = [f"{stage}: {100 * done / max(1, total):.0f}% after {fmt.duration(taken_s)}"]
        if begun.done < done < total:
            left_s = taken_s * (total - done) / (done - begun.done)
            parts.append(f"about {fmt.duration(left_s)} left")
        self.say(", ".join([*parts, *([note] if note else [])]))


@dataclass
class _Begun:
    since_s: float
    done: int
    said_s: float


def _bars_on(console: Console) -> Bars:
    """Return bars with steps done, time and time left."""
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
    return Bars(*columns, console=console)


def _plain(console: Console, line: str) -> None:
    console.print(line, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def _says_what_is_saved() -> Iterator[None]:
    """Turn an interruption that says what it saved into one line; others pass."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if not str(stopped):  # before there was anything to save
            raise
        raise StoppedByUserError(str(stopped)) from None
