"""`hwkd config`: what a run was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.config import RunOptions


def _show(found: RunOptions) -> None:
    typer.echo(f"# options of hwkd {found.command}, for --config")
    typer.echo(found.text, nl=False)


COMMANDS = (
    Command(
        name="config show",
        function=hwkd.config,
        show=_show,
        examples=("hwkd config show runs/digits",),
    ),
)
