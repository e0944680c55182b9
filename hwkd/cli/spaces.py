"""`hwkd spaces`: the families of students that a search samples from."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

__all__ = ["app"]

app = typer.Typer(help="The search spaces: families of students.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_SAMPLES = 200


@app.command("list")
def list_spaces(as_json: AsJson = False) -> None:
    """List the search spaces."""
    from rich.console import Console
    from rich.table import Table

    from hwkd.core import catalog
    from hwkd.io import discovery

    discovery.discover("hwkd.search_spaces")
    spaces = [catalog.SEARCH_SPACES.get(name) for name in catalog.SEARCH_SPACES]
    if as_json:
        typer.echo(json.dumps([{"name": s.name, "summary": s.summary} for s in spaces]))
        return
    table = Table(box=None)
    table.add_column("space", style="bold")
    table.add_column("what it holds")
    for space in spaces:
        table.add_row(space.name, space.summary)
    Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Space name, or your own .py file.")],
    input_shape: Annotated[
        str, typer.Option(help="CHANNELSxHEIGHTxWIDTH, or CHANNELSxTIME.")
    ] = "1x28x28",
    classes: Annotated[int, typer.Option(min=2, help="Number of classes.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show a space's choices, what its students cost in MACs and weights, and one example.

    Ranges come from 200 random students for the input given.

    Example: hwkd spaces show depthwise --input-shape 3x32x32
    """
    from rich.console import Console
    from rich.table import Table

    from hwkd.core.kinds import LAYER_KINDS
    from hwkd.engine.setup.space_survey import survey_space

    found = survey_space(name, _shape(input_shape), classes, samples=_SAMPLES)
    if as_json:
        typer.echo(json.dumps(found.as_dict()))
        return
    console = Console()
    console.print(f"[bold]{found.name}[/bold]: {found.summary}", highlight=False)
    table = Table(box=None, title=f"choices seen in {_SAMPLES} students", title_justify="left")
    table.add_column("choice", style="bold")
    table.add_column("values")
    for choice, values in found.choices.items():
        table.add_row(choice, _values(values))
    console.print(table)
    for what, (low, middle, high) in found.ranges.items():
        console.print(f"{what}: {low:,} to {high:,}, median {middle:,}", highlight=False)
    layers = Table(box=None, title="one of them, layer by layer", title_justify="left")
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


def _shape(text: str) -> tuple[int, ...]:
    from hwkd.core.errors import ConfigError

    parts = text.lower().split("x")
    if len(parts) not in (2, 3) or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ConfigError(
            f"--input-shape: {text!r} is not CHANNELSxHEIGHTxWIDTH or CHANNELSxTIME, as 1x28x28"
        )
    return tuple(int(part) for part in parts)


def _values(values: list[Any]) -> str:
    shown = [str(value) for value in values]
    return ", ".join(shown) if len(shown) <= 12 else f"{shown[0]} ... {shown[-1]}"
