"""`hwkd export`: takes a student out of a run folder, or writes an int8 model as C."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hwkd.core.errors import ConfigError, HwkdError
from hwkd.io.paths import require_there

if TYPE_CHECKING:
    from hwkd.deploy.tflite_check import TfliteCheck
    from hwkd.deploy.to_c.project import RecordedInput

__all__ = ["export"]

_FORMATS = ("onnx", "onnx-int8", "torch")


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|MODEL",
            help="Folder of `hwkd search --out RUN`; for c and tflite an int8 ONNX file, too.",
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
        Literal["files", "c", "tflite"],
        typer.Option(
            help="files: those of --format. c: C99 source of the int8 student. tflite: the same "
            "student for TFLM, LiteRT, X-CUBE-AI and vela."
        ),
    ] = "files",
    calibration: Annotated[
        Literal["minmax", "percentile", "mse"] | None,
        typer.Option(
            help="Quantise the float student anew with ranges found so, instead of the int8 file "
            "that the run chose. Goes with --target files."
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
    """Write the best student, or any trial's, as ONNX, int8 ONNX, torch weights, C or TFLite.

    C and TFLite hold the very numbers of the int8 ONNX file. main.c of the C runs one example of
    the run's validation data. The TFLite file is run in the interpreters that are installed
    (`pip install "hwkd[tflite]"`) and compared with ONNX Runtime and the C of --rounding tflite.

    Examples:
      hwkd export runs/digits --format onnx-int8,torch --out student

      hwkd export runs/digits --target c --out firmware

      hwkd export runs/digits --target tflite --out tflite
    """
    from hwkd.engine.arms.export import export_student

    number = _trial(trial)
    chosen = _chosen(formats)
    found: TfliteCheck | None = None
    if calibration is not None and target != "files":
        raise ConfigError(
            f"--calibration {calibration} with --target {target}: write the int8 file with "
            f"--format onnx-int8 first and export that file with --target {target}"
        )
    chosen = _chosen(formats) if target == "files" else ()
    require_there(source, f"a run folder{'' if chosen else ' or an int8 .onnx file'}")
    if target == "c":
        wanted = None if rounding == "auto" else rounding
        files = _export_c(source, number, out, rounding=wanted, kernels=kernels, trusts=trust)
    elif target == "tflite":
        files, found = _export_tflite(source, number, out, trusts=trust)
    else:
        files = export_student(
            source,
            trial=number,
            formats=chosen,
            out=out,
            calibration=calibration,
            trusts=trust,
        )
    if number is not None:
        typer.echo(f"note: trial {number} was trained briefly, as the search compared it", err=True)
    if as_json:
        content: dict[str, object] = {"files": [str(path) for path in files]}
        if found is not None:
            content.update(asdict(found))
        typer.echo(json.dumps(content))
        return
    for path in files:
        typer.echo(f"{path}  {path.stat().st_size:,} bytes")
    if found is not None:
        _print_check(found)


def _export_c(
    source: Path,
    trial: int | None,
    out: Path,
    *,
    rounding: Literal["float", "q31", "tflite"] | None,
    kernels: Literal["hwkd", "cmsis-nn"],
    trusts: bool,
) -> tuple[Path, ...]:
    """Write the C of an int8 file, or of a run's student with its class names."""
    from hwkd.cli.export_c import export_c
    from hwkd.io.run_files import RUN_FILE, read_run_record

    if source.is_file():
        return export_c(source, out, rounding=rounding, kernels=kernels)
    labels = read_run_record(source / RUN_FILE).data.class_names
    with _int8_student(source, trial, trusts=trusts) as model:
        sample = _validation_example(source)
        return export_c(
            model, out, rounding=rounding, kernels=kernels, labels=labels, sample=sample
        )


def _validation_example(run: Path) -> RecordedInput | None:
    """Return the first example of the run's validation data; None, with a note, without it."""
    from hwkd.deploy.to_c.project import RecordedInput
    from hwkd.engine.run.run_folder import RunFolder
    from hwkd.engine.setup.config import SearchConfig
    from hwkd.engine.setup.context import load_data
    from hwkd.io.run_files import RUN_FILE, read_run_record

    try:
        _, data = load_data(SearchConfig.from_toml(RunFolder(run).config_path))
    except HwkdError as error:
        typer.echo(
            f"note: main.c runs seeded noise, the run's data cannot be read: {error}", err=True
        )
        return None
    if data.fingerprint != read_run_record(run / RUN_FILE).data.fingerprint:
        typer.echo("note: main.c runs seeded noise, the data are no longer the run's", err=True)
        return None
    example = data.validation
    return RecordedInput(
        values=example.inputs[0],
        origin=f"validation example 0 of {data.source}",
        label=data.class_names[int(example.labels[0])],
    )


def _export_tflite(
    source: Path, trial: int | None, out: Path, *, trusts: bool
) -> tuple[tuple[Path, ...], TfliteCheck]:
    """Write the .tflite file of an int8 file, or of a run's student with its class names."""
    from hwkd.cli.export_tflite import export_tflite
    from hwkd.io.run_files import RUN_FILE, read_run_record

    if source.is_file():
        return export_tflite(source, out)
    labels = read_run_record(source / RUN_FILE).data.class_names
    with _int8_student(source, trial, trusts=trusts) as model:
        return export_tflite(model, out, labels=labels)


@contextmanager
def _int8_student(run: Path, trial: int | None, *, trusts: bool) -> Iterator[Path]:
    from hwkd.engine.arms.export import export_student

    with TemporaryDirectory(prefix="hwkd-export-") as folder:
        out = Path(folder) / "student"
        formats = ("onnx-int8",)
        yield export_student(run, trial=trial, formats=formats, out=out, trusts=trusts)[0]


def _print_check(found: TfliteCheck) -> None:
    for items, program in (
        (found.against_c, "the C of --rounding tflite"),
        (found.against_onnxruntime, "ONNX Runtime"),
    ):
        for item in items:
            typer.echo(
                f"{item.interpreter}: {item.mismatches:,} of {item.outputs:,} outputs over "
                f"{item.inputs} inputs differ from {program} (at most {item.max_lsb} LSB)"
            )
    if found.layers is not None:
        typer.echo(
            f"layer by layer: {found.layers.mismatches:,} of {found.layers.values:,} values of "
            f"{found.layers.layers} layers differ from ONNX Runtime's (at most "
            f"{found.layers.max_lsb} LSB: TensorFlow Lite rounds twice)"
        )
    if not found.against_c:
        typer.echo('not run: no C compiler, or no interpreter (pip install "hwkd[tflite]")')


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
