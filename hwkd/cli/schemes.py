"""`hwkd schemes`: who can teach whom while a student is trained, and at what price."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.schemes import SchemeFacts


def _show_all(found: tuple[SchemeFacts, ...]) -> None:
    from rich.console import Console

    from hwkd.report.wrapped_table import WrappedTable

    table = WrappedTable(box=None)
    table.add_column("scheme", style="bold", no_wrap=True)
    table.add_column("family", no_wrap=True)
    table.add_column("cost", justify="right")
    table.add_column("what it does")
    table.add_column("control")
    for facts in sorted(found, key=lambda each: (each.family, each.name)):
        cost, what = f"{facts.cost_factor:.1f}x", facts.summary.partition("\n\n")[0]
        table.add_row(facts.name, facts.family, cost, " ".join(what.split()), facts.control)
    console = Console()
    console.print(table)
    console.print(
        "cost: training over that of the student alone, about. More on each, options and evidence: "
        "hwkd schemes show NAME",
        highlight=False,
        style="dim",
    )


def _show(found: SchemeFacts) -> None:
    from rich.console import Console

    from hwkd.cli.entry_view import print_entry

    console = Console()
    print_entry(
        console,
        name=found.name,
        family=found.family,
        summary=found.summary,
        lines=(
            ("needs", found.needs),
            ("cost", f"about {found.cost_factor:.1f} trainings of the student alone"),
            *((f"phase {name}", ", ".join(roles)) for name, roles in found.roles.items()),
            ("ships", " or ".join(found.exported) + "; everything else is left behind"),
            ("control", found.control),
            ("evidence", found.evidence),
            ("paper", found.paper),
        ),
        options=found.options,
    )
    console.print(f"\nuse it: --scheme {found.name}", highlight=False)


COMMANDS = (
    Command(
        name="schemes list",
        function=hwkd.schemes,
        show=_show_all,
        examples=("hwkd schemes list --family online",),
    ),
    Command(
        name="schemes show", function=hwkd.scheme, show=_show, examples=("hwkd schemes show dml",)
    ),
)
