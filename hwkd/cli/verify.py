"""`hwkd verify`: compiles the exported C for a device, runs it emulated and compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.verify import VerifyOutcome

__all__ = ["COMMANDS"]

EXIT_FAILED = 1


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Mapping[str, Any]]:
    from hwkd.cli.verify_view import live_progress

    with live_progress(is_shown=not quiet) as progress:
        yield {"progress": progress}


def _show(found: VerifyOutcome) -> None:
    from hwkd.cli.verify_view import print_verification

    print_verification(found.verification, found.inputs_from)


def _exit_code(found: VerifyOutcome) -> int:
    return 0 if found.passed else EXIT_FAILED


COMMANDS = (
    Command(
        name="verify",
        function=hwkd.verify,
        show=_show,
        examples=("hwkd verify runs/digits --device cortex-m4",),
        live=_progress,
        exit_code=_exit_code,
    ),
)
