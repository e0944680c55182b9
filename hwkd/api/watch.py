"""`hwkd.watch`: looks at a run until it is over."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeAlias

from hwkd.api.common import RunFolder
from hwkd.api.option import Option, declares_options
from hwkd.core.units import Duration

if TYPE_CHECKING:
    from hwkd.api.live import Look

Every: TypeAlias = Annotated[Duration, Option("Time between two looks, as 2s.", amount="2s")]
# Oftener, looking would take from the search what it needs itself.
_LEAST_S = 0.2


def pause_s(every: Duration) -> float:
    """Return the seconds between two looks."""
    from hwkd.core.units import parse_duration_s

    return max(_LEAST_S, parse_duration_s(every, option="--every"))


@declares_options
def watch(
    run: RunFolder,
    *,
    every: Every = "2s",
    once: Annotated[bool, Option("Look once, and end.")] = False,
    on_look: "Callable[[Look], None] | None" = None,
    on_wait: Callable[[str], None] | None = None,
) -> "Look":
    """Watch a search in the terminal: how far it is, best numbers, workers, log and front.

    Reads files of the run alone, so it may begin and end at any time; Ctrl-C ends the watching,
    not the search. It ends by itself when nobody is at work on the run. A run in a database is
    read there. A search that has not begun is waited for, unless with --once. Where output is no
    terminal, it prints the log line by line as it grows.

    Args:
        on_look: is shown every look; None is silence. With `once` it is returned alone.
        on_wait: hears once what is waited for; None is silence.

    Returns:
        The last look.

    Raises:
        HwkdError: in one line, if there is no such run or its database does not answer.
    """
    from pathlib import Path

    from hwkd.api.live import Watched, wait_for

    pause = pause_s(every)
    if once:
        return Watched(Path(run)).look()
    wait_for(Path(run), pause_s=pause, bound_s=None, on_wait=on_wait)
    watched = Watched(Path(run))
    look = watched.look()
    try:
        while True:
            if on_look is not None:
                on_look(look)
            if look.is_over:
                return look
            time.sleep(pause)
            look = watched.look()
    except KeyboardInterrupt:  # the watching ends, and nothing of the search
        return look
