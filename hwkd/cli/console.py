"""Where text meets the terminal: widths, and names that someone else wrote.

Names of nodes, classes and files are foreign: they may hold rich's markup, control sequences or
bytes that are no text. They reach a terminal through `printable` and inside a `Text`, never as
markup.
"""

from __future__ import annotations

import os

from rich.console import Console

# Wider than any table: a file or a program that reads a pipe has no edge to cut at.
_WITHOUT_EDGE = 10_000


def output_console() -> Console:
    """Return the console for results on stdout.

    A terminal, or the variable COLUMNS, gives the width. Without both nothing is wrapped or cut.
    """
    console = Console()
    if not console.is_terminal and not os.environ.get("COLUMNS"):
        console.width = _WITHOUT_EDGE
    return console
