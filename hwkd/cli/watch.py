"""`hwkd watch RUN` and `hwkd serve RUN`: a search seen from another terminal, or in a browser."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.live import Look
    from hwkd.api.serve import Served


def _show(look: Look) -> None:
    from rich.console import Console

    from hwkd.cli.watch_view import look_view

    Console().print(look_view(look))


def _announce() -> Mapping[str, Any]:
    def say(url: str) -> None:
        sys.stderr.write(f"hwkd serve: {url}  (Ctrl-C ends the page, not the search)\n")
        sys.stderr.flush()

    return {"on_ready": say, **_waits()}


def _waits() -> Mapping[str, Any]:
    return {"on_wait": lambda line: typer.echo(line, err=True)}


def _show_served(served: Served) -> None:
    sys.stdout.write(f"the page of {served.run} is closed\n")


COMMANDS = (
    Command(
        name="watch",
        function=hwkd.watch,
        show=_show,
        examples=("hwkd watch runs/digits", "hwkd watch runs/digits --once --json"),
        more=_waits,
    ),
    Command(
        name="serve",
        function=hwkd.serve,
        show=_show_served,
        examples=("hwkd serve runs/digits", "hwkd serve runs/digits --port 0 --max-time 8h"),
        more=_announce,
    ),
)
