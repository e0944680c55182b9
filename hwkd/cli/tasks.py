"""`hwkd tasks`: what can be learned."""

from __future__ import annotations

import json
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="The tasks: what can be learned.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """The tasks: what can be learned."""


@app.command("list")
def list_tasks(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the tasks."""
    from rich.console import Console
    from rich.table import Table

    from hwkd.core import catalog
    from hwkd.io import discovery

    discovery.discover("hwkd.tasks")
    tasks = [catalog.TASKS.get(name) for name in catalog.TASKS]
    if as_json:
        rows = [
            {"name": t.name, "summary": t.summary, "metrics": [m.model_dump() for m in t.metrics]}
            for t in tasks
        ]
        typer.echo(json.dumps(rows))
        return
    table = Table(box=None)
    for column in ("task", "what it does", "metrics"):
        table.add_column(column)
    for task in tasks:
        table.add_row(task.name, task.summary, ", ".join(metric.name for metric in task.metrics))
    Console().print(table)
