"""Pictures of the documentation, from a real run: what a search shows at its end, and its front.

usage: python -m tools.pictures [RUN]

RUN is a finished run of the first command of README.md; without it that command is run. Written are
`docs/pictures/front.png`, `docs/pictures/terminal.svg` and, as `docs/pictures/run.json`, what
README.md and docs/start.md say of the run: how long it took, and what came out.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

import hwkd
from hwkd.api.outcome import SearchOutcome
from hwkd.report.tables import best_view, front_view, verdict_view

PICTURES = Path(__file__).parents[1] / "docs/pictures"
COMMAND = "hwkd search --device cortex-m7 --out runs/first"
WIDTH = 110


def main(arguments: Sequence[str]) -> int:
    """Write the pictures; returns the exit code of the search."""
    if arguments:
        keep(hwkd.open(arguments[0]))
        return 0
    with TemporaryDirectory() as folder:
        ran = subprocess.run([sys.executable, "-m", *COMMAND.split()], cwd=folder, check=False)
        if ran.returncode == 0:
            keep(hwkd.open(Path(folder, "runs/first")))
    return ran.returncode


def keep(found: SearchOutcome) -> None:
    """Write the pictures of a run."""
    shutil.copy(found.folder / "pareto.png", PICTURES / "front.png")
    (PICTURES / "run.json").write_text(json.dumps(facts(found), indent=2) + "\n")
    (PICTURES / "terminal.svg").write_text(terminal_svg(found))


def facts(found: SearchOutcome) -> dict[str, float | str | None]:
    """Return what the pages say of a run."""
    run = found.run
    scores = found.best.scores.test_int8 if found.best else None
    return {
        "created_at": run.created_at,
        "seconds": round(sum(second for second in run.phase_seconds.values() if second)),
        "workers": run.workers,
        "cores": run.environment.cores,
        "trained": sum(record.state == "completed" for record in found.records),
        "on_the_front": len(found.pareto),
        "test_accuracy_int8": round(scores["accuracy"], 4) if scores else None,
    }


def terminal_svg(found: SearchOutcome) -> str:
    """Return what a search prints at its end as a picture of a terminal that fetches nothing."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {COMMAND}", style="bold"))
    for view in (front_view, best_view, verdict_view):
        console.print(view(found.page))
    drawn = console.export_svg(title="hwkd", unique_id="terminal")
    # Fonts of a server; every viewer has a fixed one.
    return re.sub(r"@font-face\s*{.*?}", "", drawn, flags=re.S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
