"""The command line: `hwkd COMMAND`. A command imports what is heavy when it runs, not before."""

from __future__ import annotations

import gc
import sys
import time

from hwkd.api.ahead import begin_early
from hwkd.io.command_clock import command_since, process_began_s

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code; see `hwkd.cli.app.main`."""
    with command_since(process_began_s() if arguments is None else time.monotonic()):
        begin_early(sys.argv[1:] if arguments is None else arguments)
        gc.disable()  # nothing that is imported is garbage
        try:
            from hwkd.cli import app  # half a second
        finally:
            gc.enable()
        return app.main(arguments)
