"""The command line: `hwkd COMMAND`. A command imports what is heavy when it runs, not before."""

from __future__ import annotations

from hwkd.cli.app import main

__all__ = ["main"]
