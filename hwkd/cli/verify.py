"""`hwkd verify`: compiles the exported C for a device, runs it emulated and compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.verify import VerifyOutcome

EXIT_FAILED = 1


def _show(found: VerifyOutcome) -> None:
    from hwkd.cli.verify_view import print_verification

    print_verification(found.verification, found.inputs_from)


def _notes(found: VerifyOutcome) -> None:
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)


def _exit_code(found: VerifyOutcome) -> int:
    return 0 if found.passed else EXIT_FAILED


COMMANDS = (
    Command(
        name="verify",
        function=hwkd.verify,
        show=_show,
        notes=_notes,
        examples=("hwkd verify runs/digits --device cortex-m4",),
        exit_code=_exit_code,
    ),
)
