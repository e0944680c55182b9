"""`hwkd report RUN`: makes the report of a run folder again from its records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.outcome import SearchOutcome


def _warning() -> Mapping[str, Any]:
    from rich.console import Console

    notices = Console(stderr=True)
    return {"on_warning": lambda line: notices.print(f"warning: {line}", markup=False)}


def _show(made: SearchOutcome) -> None:
    from rich.console import Console

    from hwkd.report.tables import best_view, front_view, verdict_view

    console = Console()
    if made.page.is_search:
        console.print(front_view(made.page))
    console.print(best_view(made.page))
    console.print(verdict_view(made.page))
    for caveat in made.page.caveats:
        console.print(f"caveat: {caveat}", markup=False, style="yellow", highlight=False)
    console.print(f"report: {made.folder / 'report.html'}", markup=False, highlight=False)


COMMANDS = (
    Command(
        name="report",
        function=hwkd.report,
        show=_show,
        examples=("hwkd report runs/digits",),
        more=_warning,
    ),
)
