"""`hwkd export`: a finished student as ONNX, torch weights, C, TensorFlow Lite or by a plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from hwkd.core.errors import ConfigError

__all__ = ["export"]


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|STUDENT|MODEL",
            help="Folder of `hwkd search --out RUN`, of a finished student (`hwkd distill --out`), "
            "or, for c and tflite, an int8 ONNX file.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    trial: Annotated[
        str, typer.Option(help="best (trained in full), or the number of a completed trial.")
    ] = "best",
    formats: Annotated[
        str,
        typer.Option("--format", help="One or more of onnx, onnx-int8, torch, with commas."),
    ] = "onnx,onnx-int8",
    target: Annotated[
        str,
        typer.Option(
            help="files: those of --format. c: C99 source of the int8 student. tflite: the same "
            "student for TFLM, LiteRT, X-CUBE-AI and vela. Plugins add more."
        ),
    ] = "files",
    calibration: Annotated[
        Literal["minmax", "percentile", "mse"] | None,
        typer.Option(
            help="Quantise the float student of a run anew with ranges found so, instead of the "
            "int8 file that the run chose. Goes with --target files."
        ),
    ] = None,
    rounding: Annotated[
        Literal["auto", "float", "q31", "tflite"],
        typer.Option(
            help="Of the C: float equals ONNX Runtime, q31 needs no FPU, tflite is TFLM's; auto: "
            "float, or q31 with --kernels cmsis-nn."
        ),
    ] = "auto",
    kernels: Annotated[
        Literal["hwkd", "cmsis-nn"], typer.Option(help="Of the C: our own, or Arm's CMSIS-NN.")
    ] = "hwkd",
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Run the Python files of search spaces that the run names."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a finished student, or any trial's, as ONNX, int8 ONNX, torch weights, C or TFLite.

    C and TFLite hold the very numbers of the int8 ONNX file. main.c of the C runs one example of
    the run's validation data. The TFLite file is run in the interpreters that are installed
    (`pip install "hwkd[tflite]"`) and compared with ONNX Runtime and the C of --rounding tflite.

    Examples:
      hwkd export runs/digits --format onnx-int8,torch --out student

      hwkd export runs/digits --target c --out firmware

      hwkd export runs/digits --target tflite --out tflite
    """
    from hwkd.deploy.exporter import ExportOptions
    from hwkd.engine.arms.export import ExportOrder, export_student

    number = _trial(trial)
    formats_given = _formats(formats)
    if calibration is not None and target != "files":
        raise ConfigError(
            f"--calibration {calibration} with --target {target}: write the int8 file with "
            f"--format onnx-int8 first and export that file with --target {target}"
        )
    made = export_student(
        ExportOrder(
            source=source,
            targets=formats_given if target == "files" else (target,),
            out=out,
            trial=number,
            calibration=calibration,
            options=ExportOptions(
                rounding=None if rounding == "auto" else rounding, kernels=kernels
            ),
            trusts=trust,
        )
    )
    for note in made.notes:
        typer.echo(f"note: {note}", err=True)
    if as_json:
        typer.echo(json.dumps({"files": [str(path) for path in made.files], **made.facts}))
        return
    for path in made.files:
        typer.echo(f"{path}  {path.stat().st_size:,} bytes")
    for line in made.lines:
        typer.echo(line)


def _trial(text: str) -> int | None:
    if text == "best":
        return None
    if not text.isdigit():
        raise ConfigError(f"--trial: {text!r} is neither best nor the number of a trial")
    return int(text)


def _formats(text: str) -> tuple[str, ...]:
    """Return the targets whose files go into one student's folder."""
    from hwkd.engine.arms.export import exporters

    known = [name for name, exporter in exporters().items() if exporter.is_student_file]
    chosen = tuple(part.strip() for part in text.split(","))
    for part in chosen:
        if part not in known:
            raise ConfigError(f"--format: {part!r} is not one of {', '.join(known)}")
    return chosen
