"""`hwkd export`: a finished student as ONNX, torch weights, C, TensorFlow Lite or by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.engine.arms.export import ExportOutcome


def _notes(made: ExportOutcome) -> None:
    for note in made.notes:
        typer.echo(f"note: {note}", err=True)


def _show(made: ExportOutcome) -> None:
    for path in made.files:
        typer.echo(f"{path}  {path.stat().st_size:,} bytes")
    for line in made.lines:
        typer.echo(line)


COMMANDS = (
    Command(
        name="export",
        function=hwkd.export,
        show=_show,
        notes=_notes,
        examples=(
            "hwkd export runs/digits --format onnx-int8,torch --out student",
            "hwkd export runs/digits --target c --out firmware",
            "hwkd export runs/digits --target tflite --out tflite",
        ),
    ),
)
