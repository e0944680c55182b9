"""`hwkd.serve`: a page of a run that refreshes itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hwkd.api.common import RunFolder
from hwkd.api.option import Here, Option, declares_options
from hwkd.api.watch import Every, pause_s
from hwkd.core.units import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A page that was served.

    Attributes:
        url: where it was.
    """

    run: Path
    url: str


@declares_options
def serve(
    run: RunFolder,
    *,
    port: Annotated[
        int, Option("Port to listen on. 0 is a free one.", minimum=0, maximum=65535)
    ] = 8765,
    host: Annotated[
        str,
        Option(
            "Address to listen on. 127.0.0.1 is this computer alone; with another one, as 0.0.0.0, "
            "everybody who reaches the port reads the report."
        ),
    ] = "127.0.0.1",
    every: Annotated[Every, Here("The page asks as often.")] = "2s",
    max_time: Annotated[
        Duration | None, Option("End after this time, as 8h. Default: with Ctrl-C.", amount="8h")
    ] = None,
    on_ready: Callable[[str], None] | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> "Served":
    """Serve a page of a search that refreshes itself: front, history, workers, log, whole report.

    Reads files of the run alone and answers nothing but GET; Ctrl-C ends the page, not the search.
    A search that has not begun is waited for, and the page stays when the search is over. It
    listens on this computer alone unless --host says otherwise: there is no password, so on a
    server rather use `ssh -L 8765:127.0.0.1:8765 SERVER`.

    Args:
        on_ready: hears the address of the page once it answers; None is silence.
        on_wait: hears once what is waited for; None is silence.

    Returns:
        Where the page was.

    Raises:
        HwkdError: in one line, if there is no such run or the port is taken.
    """
    from hwkd.api.live import Watched, wait_for
    from hwkd.api.live_server import LiveServer
    from hwkd.core.units import parse_duration_s

    pause = pause_s(every)
    bound_s = None if max_time is None else parse_duration_s(max_time, option="--max-time")
    wait_for(Path(run), pause_s=pause, bound_s=bound_s, on_wait=on_wait)
    with LiveServer(Watched(Path(run)), host=host, port=port, every_s=pause) as server:
        if on_ready is not None:
            on_ready(server.url)
        server.serve_for(bound_s)
        return Served(run=Path(run), url=server.url)
