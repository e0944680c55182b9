"""`hwkd distill` and `hwkd finetune`: one student in full, of a teacher or with further data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome


def _show(outcome: SearchOutcome) -> None:
    from rich.console import Console

    from hwkd.report.tables import best_view, verdict_view

    console = Console()
    console.print(best_view(outcome.page))
    console.print(verdict_view(outcome.page))
    console.print(f"report: {outcome.report}", soft_wrap=True)
    console.print(f"student: {outcome.folder}", soft_wrap=True)


COMMANDS = (
    Command(
        name="distill",
        function=hwkd.distill,
        show=_show,
        examples=(
            "hwkd distill --student runs/digits --method kd:temperature=4,weight=0.9 --method at "
            "--attribution --seeds 3 --out student",
        ),
        reads_config=True,
    ),
    Command(
        name="finetune",
        function=hwkd.finetune,
        show=_show,
        examples=("hwkd finetune runs/digits --data more.npz --out runs/digits-2",),
        reads_config=True,
    ),
)
