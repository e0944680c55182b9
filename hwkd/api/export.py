"""`hwkd.export`: a finished student as ONNX, torch weights, C, TensorFlow Lite or by a plugin."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from hwkd.api.common import (
    ForceOption,
    KernelsOption,
    OutOption,
    PatchOption,
    RoundingOption,
    StreamingOption,
    Trust,
)
from hwkd.api.option import Here, Option, declares_options

if TYPE_CHECKING:
    from hwkd.core.progress import Progress
    from hwkd.engine.arms.export import ExportOutcome


StudentToExport = Annotated[
    str | Path,
    Option(
        "Folder of `hwkd search --out RUN`, of a finished student (`hwkd distill --out`), or, "
        "for all targets but files, an int8 ONNX file.",
        metavar="RUN|STUDENT|MODEL",
    ),
]
FormatOption = Annotated[
    str | None,
    Option(
        "One or more of onnx, onnx-int8, torch, with commas; default: onnx,onnx-int8. Goes "
        "with --target files.",
        flag="format",
    ),
]
TargetOption = Annotated[
    str,
    Option(
        "files: those of --format. c: C99 source of the int8 student. tflite: the same student "
        "for TFLM, LiteRT, X-CUBE-AI and vela. arduino, zephyr: the C as a library of those. "
        "Plugins add more."
    ),
]
RecalibrationOption = Annotated[
    Literal["minmax", "percentile", "mse"] | None,
    Option(
        "Quantise the float student of a run anew with ranges found so, instead of the int8 "
        "file that the run chose. Goes with --target files."
    ),
]


@declares_options
def export(
    source: StudentToExport,
    *,
    out: OutOption,
    trial: Annotated[
        str, Option("best (trained in full), or the number of a completed trial.")
    ] = "best",
    formats: FormatOption = None,
    target: TargetOption = "files",
    calibration: RecalibrationOption = None,
    rounding: RoundingOption = "auto",
    kernels: KernelsOption = "hwkd",
    patch: PatchOption = None,
    streaming: StreamingOption = False,
    force: Annotated[ForceOption, Here("An export is replaced as a whole.")] = False,
    trust: Trust = False,
    progress: "Progress | None" = None,
) -> "ExportOutcome":
    """Write a student as ONNX, torch weights, TFLite, C, an Arduino library or a Zephyr module.

    C and TFLite hold the very numbers of the int8 ONNX file. main.c of the C runs one example of
    the run's validation data. The TFLite file is run in the interpreters that are installed
    (`pip install "hwkd[tflite]"`) and compared with ONNX Runtime and the C of --rounding tflite.

    Args:
        progress: is told about every stage; None is silence.

    Raises:
        HwkdError: in one line, if there is no such student, it has no form in the target, or `out`
            is in use.
    """
    from hwkd.core.patches import Patches
    from hwkd.core.progress import silent
    from hwkd.deploy.exporter import ExportOptions
    from hwkd.engine.arms.export import ExportOrder, export_student
    from hwkd.io.student_folder import given_place

    _refuse_idle(target, formats, calibration)
    order = ExportOrder(
        source=given_place(source),
        targets=_formats(formats) if target == "files" else (target,),
        out=Path(out),
        trial=_trial(trial, trusts=trust),
        calibration=calibration,
        options=ExportOptions(
            rounding=None if rounding == "auto" else rounding,
            kernels=kernels,
            patches=None if patch is None else Patches.parse(patch),
            streaming=streaming,
        ),
        replaces=force,
        trusts=trust,
    )
    return export_student(order, progress=progress or silent)


def _refuse_idle(target: str, formats: str | None, calibration: str | None) -> None:
    from hwkd.core.errors import ConfigError

    if formats is not None and target != "files":
        raise ConfigError(
            f"--format {formats} with --target {target}: does nothing; give one of the two"
        )
    if calibration is not None and target != "files":
        raise ConfigError(
            f"--calibration {calibration} with --target {target}: write the int8 file with "
            f"--format onnx-int8 first and export that file with --target {target}"
        )


def _trial(text: str, *, trusts: bool) -> int | None:
    from hwkd.core.errors import ConfigError

    if text == "best" and trusts:
        raise ConfigError("--trust: does nothing without --trial N, which rebuilds a candidate")
    if text == "best":
        return None
    if not text.isdigit():
        raise ConfigError(f"--trial: {text!r} is neither best nor the number of a trial")
    return int(text)


def _formats(text: str | None) -> tuple[str, ...]:
    """Return the targets whose files go into one student's folder."""
    from hwkd.core.errors import ConfigError
    from hwkd.engine.arms.export import exporters

    known = [name for name, exporter in exporters().items() if exporter.is_student_file]
    chosen = ("onnx", "onnx-int8") if text is None else tuple(map(str.strip, text.split(",")))
    for part in chosen:
        if part not in known:
            raise ConfigError(f"--format: {part!r} is not one of {', '.join(known)}")
    return chosen
