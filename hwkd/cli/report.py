"""`hwkd report RUN` and `hwkd compare RUN RUN`: what the records of runs say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.compare import Comparison
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


def _show_comparison(found: Comparison) -> None:
    from rich.console import Console

    from hwkd.report.comparison import difference_block, result_table
    from hwkd.report.document import Table
    from hwkd.report.tables import table_view

    console = Console()
    console.print(table_view(result_table(found.runs)))
    differed = difference_block(found.runs)
    console.print(table_view(differed) if isinstance(differed, Table) else differed.lines[0])
    for caution in found.cautions:
        console.print(f"caution: {caution}", markup=False, style="yellow", highlight=False)
    if found.page is not None:
        console.print(f"page: {found.page}", markup=False, highlight=False)


COMMANDS = (
    Command(
        name="report",
        function=hwkd.report,
        show=_show,
        examples=("hwkd report runs/digits",),
        more=_warning,
    ),
    Command(
        name="compare",
        function=hwkd.compare,
        show=_show_comparison,
        examples=("hwkd compare runs/digits runs/other --page compare.html",),
    ),
)
