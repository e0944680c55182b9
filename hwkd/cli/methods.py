"""`hwkd methods`: what a student can be distilled with, and what each method costs and gained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.methods import MethodFacts

_RUN_OPTIONS = (
    "every method: start, stop, warmup, decay, as shares of the training from 0 to 1;",
    "with a temperature: temperature_end; with layer pairs: pairs=1:2+2:3",
)


def _show_all(found: tuple[MethodFacts, ...]) -> None:
    from rich.console import Console

    from hwkd.report.wrapped_table import WrappedTable

    table = WrappedTable(box=None)
    table.add_column("method", style="bold", no_wrap=True)
    table.add_column("family", no_wrap=True)
    table.add_column("needs")
    table.add_column("steps", justify="right")
    table.add_column("paper")
    for facts in sorted(found, key=lambda each: (each.family, each.name)):
        cost = "not measured" if facts.cost_steps is None else f"{facts.cost_steps:.3f}"
        table.add_row(facts.name, facts.family, ", ".join(facts.needs), cost, facts.paper)
    console = Console()
    console.print(table)
    console.print(
        f"steps: added to one training step; measured: {found[0].measured_on}. "
        "Formula and evidence: hwkd methods show NAME",
        highlight=False,
        style="dim",
    )


def _show(found: MethodFacts) -> None:
    from rich.console import Console

    from hwkd.cli.entry_view import print_entry

    console = Console()
    weight = {
        "name": "weight",
        "default": f"{found.usual_weight:g}",
        "allowed": "> 0",
        "meaning": "of its terms; cross-entropy has 1",
    }
    print_entry(
        console,
        name=found.name,
        family=found.family,
        summary=found.summary,
        lines=_lines(found),
        options=(*found.options, weight),
    )
    for line in _RUN_OPTIONS:
        console.print(line, highlight=False, style="dim")
    console.print(f"\nuse it: --method {found.name}:weight={found.usual_weight:g}", highlight=False)


def _lines(found: MethodFacts) -> list[tuple[str, str]]:
    cost = "not measured" if found.cost_steps is None else f"{found.cost_steps:.3f} of a step"
    teacher = "none: the student itself" if found.brings_teacher else "none"
    if found.needs_teacher:
        teacher = "live or cached" if found.teacher_can_be_cached else "live only"
    trained = "adapters or memory" if found.trains_parameters else "nothing"
    return [
        ("formula", found.formula),
        ("needs", ", ".join(found.needs) + (", labels" if found.needs_labels else "")),
        ("teacher", teacher),
        ("smallest batch", str(found.smallest_batch)),
        ("fewest classes", str(found.fewest_classes)),
        ("trains besides the student", trained),
        ("cost", f"{cost} ({found.measured_on})"),
        ("control without teacher", found.no_teacher_control or "none: not a logit transform"),
        ("evidence", found.evidence),
        ("paper", found.paper),
    ]


COMMANDS = (
    Command(
        name="methods list",
        function=hwkd.methods,
        show=_show_all,
        examples=("hwkd methods list --family response",),
    ),
    Command(
        name="methods show", function=hwkd.method, show=_show, examples=("hwkd methods show kd",)
    ),
)
