"""The command line: `hwkd COMMAND`. A command imports what is heavy when it runs, not before."""

from __future__ import annotations

import sys

from hwkd.api.ahead import begin_early

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code; see `hwkd.cli.app.main`."""
    begin_early(sys.argv[1:] if arguments is None else arguments)
    from hwkd.cli import app  # half a second

    return app.main(arguments)
