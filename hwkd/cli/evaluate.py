"""`hwkd evaluate`: scores of a network on further data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.evaluate import EvaluateOutcome


def _show(found: EvaluateOutcome) -> None:
    from rich.console import Console

    from hwkd.report.wrapped_table import WrappedTable

    table = WrappedTable(box=None)
    for column in ("metric", "value"):
        table.add_column(column)
    for metric in found.metrics:
        table.add_row(metric.name, metric.text(metric.of(found.scores)))
    how = "prepared as in training" if found.prepared else "values as they are"
    console = Console()
    console.print(f"{found.examples:,} examples of {found.data}, {how}", highlight=False)
    console.print(table)


COMMANDS = (
    Command(
        name="evaluate",
        function=hwkd.evaluate,
        show=_show,
        examples=("hwkd evaluate runs/digits --data new.npz",),
    ),
)
