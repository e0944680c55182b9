"""`hwkd spaces`: the families of students that a search samples from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.spaces import SpaceSummary
    from hwkd.engine.setup.space_survey import SpaceSurvey


def _show_all(found: tuple[SpaceSummary, ...]) -> None:
    from rich.console import Console

    from hwkd.report.wrapped_table import WrappedTable

    table = WrappedTable(box=None)
    table.add_column("space", style="bold")
    table.add_column("what it holds")
    for space in found:
        table.add_row(space.name, space.summary)
    Console().print(table)


def _show(found: SpaceSurvey) -> None:
    from rich.console import Console

    from hwkd.core.kinds import LAYER_KINDS
    from hwkd.report.wrapped_table import WrappedTable

    console = Console()
    console.print(f"[bold]{found.name}[/bold]: {found.summary}", highlight=False)
    table = WrappedTable(
        box=None, title=f"choices seen in {found.samples} students", title_justify="left"
    )
    table.add_column("choice", style="bold")
    table.add_column("values")
    for choice, values in found.choices.items():
        table.add_row(choice, _values(values))
    console.print(table)
    for what, (low, middle, high) in found.ranges.items():
        console.print(f"{what}: {low:,} to {high:,}, median {middle:,}", highlight=False)
    layers = WrappedTable(box=None, title="one of them, layer by layer", title_justify="left")
    for column in ("layer", "kind", "output", "kernel", "activation"):
        layers.add_column(column)
    for layer in found.example.layers:
        shape = "x".join(str(size) for size in layer.shape)
        kernel = (
            "x".join(str(size) for size in layer.kernel)
            if LAYER_KINDS.get(layer.kind).is_window
            else ""
        )
        layers.add_row(layer.name, layer.kind, shape, kernel, layer.activation)
    console.print(layers)


def _values(values: list[Any]) -> str:
    shown = [str(value) for value in values]
    return ", ".join(shown) if len(shown) <= 12 else f"{shown[0]} ... {shown[-1]}"


COMMANDS = (
    Command(
        name="spaces list", function=hwkd.spaces, show=_show_all, examples=("hwkd spaces list",)
    ),
    Command(
        name="spaces show",
        function=hwkd.space,
        show=_show,
        examples=("hwkd spaces show depthwise --input-shape 3x32x32",),
    ),
)
