"""`hwkd export RUN`: takes a student out of a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hwkd.core.errors import ConfigError

__all__ = ["export"]

_FORMATS = ("onnx", "onnx-int8", "torch")


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of `hwkd search --out RUN`.")],
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    trial: Annotated[
        str, typer.Option(help="best (trained in full), or the number of a completed trial.")
    ] = "best",
    formats: Annotated[
        str, typer.Option("--format", help=f"One or more of {', '.join(_FORMATS)}, with commas.")
    ] = "onnx,onnx-int8",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the best student, or any trial's, as ONNX, int8 ONNX or torch weights.

    Example: hwkd export runs/digits --format onnx-int8,torch --out student
    """
    from hwkd.engine.export_run import export_student

    number = _trial(trial)
    files = export_student(run, trial=number, formats=_chosen(formats), out=out)
    if number is not None:
        typer.echo(f"note: trial {number} was trained briefly, as the search compared it", err=True)
    if as_json:
        typer.echo(json.dumps({"files": [str(path) for path in files]}))
        return
    for path in files:
        typer.echo(f"{path}  {path.stat().st_size:,} bytes")


def _trial(text: str) -> int | None:
    if text == "best":
        return None
    if not text.isdigit():
        raise ConfigError(f"--trial: {text!r} is neither best nor the number of a trial")
    return int(text)


def _chosen(text: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in text.split(","))
    for part in chosen:
        if part not in _FORMATS:
            raise ConfigError(f"--format: {part!r} is not one of {', '.join(_FORMATS)}")
    return chosen
