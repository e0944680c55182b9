"""`hwkd tasks`: what can be learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.tasks import TaskSummary


def _show_all(found: tuple[TaskSummary, ...]) -> None:
    from rich.console import Console

    from hwkd.report.wrapped_table import WrappedTable

    table = WrappedTable(box=None)
    for column in ("task", "what it does", "metrics"):
        table.add_column(column)
    for task in found:
        table.add_row(task.name, task.summary, ", ".join(each.name for each in task.metrics))
    Console().print(table)


COMMANDS = (
    Command(name="tasks list", function=hwkd.tasks, show=_show_all, examples=("hwkd tasks list",)),
)
