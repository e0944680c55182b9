"""`hwkd report RUN`: makes the report of a run folder again from its records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder that `hwkd search --out RUN` wrote.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the outcome as one JSON object.")
    ] = False,
) -> None:
    """Make pareto.csv, trials.csv, pareto.png and report.html again and show the Pareto front.

    Reads run.json and trials.jsonl only, so it works while the search runs, after it was
    killed, and on another machine. Nothing is trained or measured.

    Example: hwkd report runs/digits
    """
    from rich.console import Console

    from hwkd.report.summary import summary_json
    from hwkd.report.tables import best_view, front_view
    from hwkd.report.write import write_report_files

    notices = Console(stderr=True)
    with notices.status("Writing the report"):
        made = write_report_files(
            run, on_warning=lambda line: notices.print(f"warning: {line}", markup=False)
        )
    if as_json:
        typer.echo(json.dumps(summary_json(made, run)))
        return
    console = Console()
    console.print(front_view(made))
    console.print(best_view(made))
    for caveat in made.caveats:
        console.print(f"caveat: {caveat}", markup=False, style="yellow", highlight=False)
    console.print(f"report: {run / 'report.html'}", markup=False, highlight=False)
