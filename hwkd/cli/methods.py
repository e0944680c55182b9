"""`hwkd methods`: what a student can be distilled with, and what each method costs and gained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hwkd.distill.method import Method

__all__ = ["app"]

_RUN_OPTIONS = (
    "every method: start, stop, warmup, decay, as shares of the training from 0 to 1;",
    "with a temperature: temperature_end; with layer pairs: pairs=1:2+2:3",
)

app = typer.Typer(
    help="The distillation methods: formula, needs, cost, evidence.", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Measured = Annotated[
    bool, typer.Option("--measure", help="Time it here, now, instead of the stored table.")
]


@app.callback()
def _root() -> None:
    """The distillation methods: formula, needs, cost, evidence."""


@app.command("list")
def list_methods(
    family: Annotated[
        str | None, typer.Option(help="Only this family, for example feature.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the methods: family, what they need, cost per step, paper.

    The cost is what a method adds to a training step of a 19,000-parameter student at batch 128, in
    steps.

    Example: hwkd methods list --family response
    """
    from rich.console import Console
    from rich.table import Table

    from hwkd.distill.method_times import MEASURED_ON

    methods = [entry for entry in _methods() if family is None or entry.family == family]
    if not methods:
        _refuse_family(family)
    if as_json:
        typer.echo(json.dumps({"measured_on": MEASURED_ON, "methods": [_row(m) for m in methods]}))
        return
    table = Table(box=None)
    table.add_column("method", style="bold", no_wrap=True)
    table.add_column("family", no_wrap=True)
    table.add_column("needs")
    table.add_column("steps", justify="right")
    table.add_column("paper")
    for method in sorted(methods, key=lambda m: (m.family, m.name)):
        row = _row(method)
        cost = row["cost_steps"]
        shown = "not measured" if cost is None else f"{cost:.3f}"
        table.add_row(method.name, method.family, ", ".join(row["needs"]), shown, method.paper)
    console = Console()
    console.print(table)
    console.print(
        f"steps: added to one training step; measured: {MEASURED_ON}. "
        "Formula and evidence: hwkd methods show NAME",
        highlight=False,
        style="dim",
    )


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Method name, as in `hwkd methods list`.")],
    measure: Measured = False,
    as_json: AsJson = False,
) -> None:
    """Show one method: formula, options and their ranges, needs, cost, paper, evidence.

    Example: hwkd methods show kd
    """
    from rich.console import Console
    from rich.table import Table

    from hwkd.core import catalog
    from hwkd.distill.method_times import MEASURED_ON
    from hwkd.io import discovery

    discovery.discover("hwkd.distill.losses")
    method = catalog.METHODS.get(name)()
    row = _row(method)
    row["measured_on"] = MEASURED_ON
    if measure:
        row.update(_measured_now(method))
    if as_json:
        typer.echo(json.dumps(row))
        return
    console = Console()
    console.print(f"[bold]{name}[/bold] ({row['family']})", highlight=False)
    console.print(f"{row['summary']}\n", highlight=False, markup=False)
    facts = Table(box=None, show_header=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    for label, text in _facts(row):
        facts.add_row(label, text)
    console.print(facts)
    options = Table(box=None, title="\noptions", title_justify="left")
    for column in ("option", "default", "allowed", "meaning"):
        options.add_column(column)
    for entry in row["options"]:
        options.add_row(entry["name"], str(entry["default"]), entry["allowed"], entry["meaning"])
    options.add_row(
        "weight", f"{row['usual_weight']:g}", "> 0", "of its terms; cross-entropy has 1"
    )
    console.print(options)
    for line in _RUN_OPTIONS:
        console.print(line, highlight=False, style="dim")
    console.print(f"\nuse it: --method {name}:weight={row['usual_weight']:g}", highlight=False)


def _methods() -> list[Method]:
    from hwkd.core import catalog
    from hwkd.io import discovery

    discovery.discover("hwkd.distill.losses")
    return [catalog.METHODS.get(name)() for name in catalog.METHODS]


def _row(method: Method) -> dict[str, Any]:
    import dataclasses
    import inspect

    from hwkd.distill.method import TrainedMethod
    from hwkd.distill.method_times import STEPS_PER_STEP

    control = method.no_teacher_control()
    return {
        "name": method.name,
        "family": method.family,
        "summary": inspect.getdoc(type(method)) or "",
        "formula": method.formula,
        "paper": method.paper,
        "evidence": method.evidence,
        "needs": sorted(signal.value for signal in method.needs),
        "needs_teacher": method.asks_teacher,
        "needs_labels": method.needs_labels,
        "smallest_batch": method.min_batch,
        "fewest_classes": method.min_classes,
        "teacher_can_be_cached": method.cacheable and method.asks_teacher,
        "learns_from_past_self": method.learns_from_past_self,
        "trains_parameters": isinstance(method, TrainedMethod),
        "float32_only": method.float32_only,
        "usual_weight": method.usual_weight,
        "no_teacher_control": None if control is None else control.name,
        "cost_steps": STEPS_PER_STEP.get(method.name),
        "options": [
            {
                "name": entry.name,
                "default": entry.default,
                "allowed": entry.metadata["range"].describe(),
                "meaning": entry.metadata["range"].meaning,
            }
            for entry in dataclasses.fields(method)  # type: ignore[arg-type]  # all are dataclasses
        ],
    }


def _facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    cost = "not measured" if row["cost_steps"] is None else f"{row['cost_steps']:.3f} of a step"
    teacher = "none: the student of one epoch ago" if row["learns_from_past_self"] else "none"
    if row["needs_teacher"]:
        teacher = "live or cached" if row["teacher_can_be_cached"] else "live only"
    return [
        ("formula", row["formula"]),
        ("needs", ", ".join(row["needs"]) + (", labels" if row["needs_labels"] else "")),
        ("teacher", teacher),
        ("smallest batch", str(row["smallest_batch"])),
        ("fewest classes", str(row["fewest_classes"])),
        (
            "trains besides the student",
            "adapters or memory" if row["trains_parameters"] else "nothing",
        ),
        ("cost", f"{cost} ({row['measured_on']})"),
        ("control without teacher", row["no_teacher_control"] or "none: not a logit transform"),
        ("evidence", row["evidence"]),
        ("paper", row["paper"]),
    ]


def _measured_now(method: Method) -> dict[str, Any]:
    import torch

    from hwkd.distill.time_method import CLASSES, measure_method_s, measure_step_s
    from hwkd.tasks.classes_head import ClassesHead

    head = ClassesHead.numbered(CLASSES)
    step_s = measure_step_s(head)
    threads = torch.get_num_threads()
    return {
        "cost_steps": measure_method_s(method, head) / step_s,
        "measured_on": f"here and now, processor time of {threads} threads",
    }


def _refuse_family(family: str | None) -> None:
    from hwkd.core.errors import UnknownNameError

    raise UnknownNameError("family", str(family), {method.family for method in _methods()})
