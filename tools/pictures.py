"""Pictures of the documentation, from a real run: the terminal of a search, and its front.

usage: python -m tools.pictures

Runs the first command of README.md as it stands there, with what it prints in colour, and keeps
`docs/pictures/terminal.svg`, `docs/pictures/front.png` and, as `docs/pictures/run.json`, how long
it took on which machine, which README and docs/start.md say.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

import hwkd

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/pictures"
COMMAND = ("hwkd", "search", "--device", "cortex-m7", "--out", "runs/first")
WIDTH = 110


def main() -> int:
    """Run the search in a folder of its own and write the pictures; returns its exit code."""
    with TemporaryDirectory() as folder:
        begun = time.monotonic()
        ran = subprocess.run(
            [sys.executable, "-m", *COMMAND],
            cwd=folder,
            env={**os.environ, **_colours(Path(folder) / "cache")},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - begun
        if ran.returncode == 0:
            found = hwkd.open(Path(folder, "runs/first"))
            scores = found.best.scores.test_int8 if found.best else None
            shutil.copy(found.folder / "pareto.png", PICTURES / "front.png")
            facts = {
                "command": " ".join(COMMAND),
                "seconds": round(seconds),
                "cores": os.cpu_count(),
                "trained": sum(record.state == "completed" for record in found.records),
                "front": len(found.pareto),
                "test_accuracy_int8": scores["accuracy"] if scores else None,
            }
            (PICTURES / "run.json").write_text(json.dumps(facts, indent=2) + "\n")
            (PICTURES / "terminal.svg").write_text(terminal_svg(ran.stdout))
    return ran.returncode


def terminal_svg(printed: str) -> str:
    """Return what a program printed as a picture of a terminal that fetches nothing.

    Args:
        printed: with the escapes of colours.
    """
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {' '.join(COMMAND)}", style="bold"))
    console.print(Text.from_ansi(printed.strip("\n")))
    drawn = console.export_svg(title="hwkd", unique_id="terminal")
    # Fonts of a server; every viewer has a fixed one.
    return re.sub(r"@font-face\s*{.*?}", "", drawn, flags=re.S)


def _colours(cache: Path) -> dict[str, str]:
    """Return what makes rich print colours, and no bars that are drawn over each other."""
    return {
        "COLUMNS": str(WIDTH), "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "0",
        "HWKD_CACHE_DIR": str(cache),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
