"""`hwkd export`: takes a student out of a run folder, or writes an int8 model as C."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from hwkd.core.errors import ConfigError

__all__ = ["export"]

_FORMATS = ("onnx", "onnx-int8", "torch")


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|MODEL",
            help="Folder of `hwkd search --out RUN`; for --target c an int8 ONNX file, too.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    trial: Annotated[
        str, typer.Option(help="best (trained in full), or the number of a completed trial.")
    ] = "best",
    formats: Annotated[
        str, typer.Option("--format", help=f"One or more of {', '.join(_FORMATS)}, with commas.")
    ] = "onnx,onnx-int8",
    target: Annotated[
        Literal["files", "c"],
        typer.Option(help="files: those of --format. c: C99 source of the int8 student."),
    ] = "files",
    rounding: Annotated[
        Literal["float", "q31", "tflite"],
        typer.Option(
            help="Of the C: float equals ONNX Runtime, q31 needs no FPU, tflite is TFLM's."
        ),
    ] = "float",
    kernels: Annotated[
        Literal["hwkd", "cmsis-nn"], typer.Option(help="Of the C: our own, or Arm's CMSIS-NN.")
    ] = "hwkd",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write the best student, or any trial's, as ONNX, int8 ONNX, torch weights or C.

    Examples:
      hwkd export runs/digits --format onnx-int8,torch --out student

      hwkd export runs/digits --target c --out firmware
    """
    from hwkd.engine.export_run import export_student

    number = _trial(trial)
    if target == "c":
        files = _export_c(source, number, out, rounding=rounding, kernels=kernels)
    else:
        files = export_student(source, trial=number, formats=_chosen(formats), out=out)
    if number is not None:
        typer.echo(f"note: trial {number} was trained briefly, as the search compared it", err=True)
    if as_json:
        typer.echo(json.dumps({"files": [str(path) for path in files]}))
        return
    for path in files:
        typer.echo(f"{path}  {path.stat().st_size:,} bytes")


def _export_c(
    source: Path,
    trial: int | None,
    out: Path,
    *,
    rounding: Literal["float", "q31", "tflite"],
    kernels: Literal["hwkd", "cmsis-nn"],
) -> tuple[Path, ...]:
    """Write the C of an int8 file, or of a run's student with its class names."""
    from hwkd.cli.export_c import export_c
    from hwkd.core.run_files import RUN_FILE, read_run_record
    from hwkd.engine.export_run import export_student

    if source.is_file():
        return export_c(source, out, rounding=rounding, kernels=kernels)
    labels = read_run_record(source / RUN_FILE).data.class_names
    with TemporaryDirectory(prefix="hwkd-export-") as folder:
        files = export_student(
            source, trial=trial, formats=("onnx-int8",), out=Path(folder) / "student"
        )
        return export_c(files[0], out, rounding=rounding, kernels=kernels, labels=labels)


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
