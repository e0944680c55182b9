"""`hwkd distill`: trains one student in full, and says what the teacher was worth."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hwkd.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from hwkd.core.final_record import QuantisationChoiceRecord
    from hwkd.engine.distill.run import DistilReport

__all__ = ["distill"]


def distill(
    student: Annotated[
        str, typer.Option(help="RUN (its best), RUN:TRIAL, a student's folder or student.json.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="kd:temperature=4,weight=0.9; repeat to combine, none for the labels alone. See "
            "hwkd methods list. Default: kd at temperature 2, or what suits a saturated teacher."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with distill tables, instead of --method.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.")] = None,
    task: Annotated[
        str | None, typer.Option(help="For a student by itself: what is learned. Default: image.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="For a student by itself: path of the data.")
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="model.onnx or package.module:factory; repeat to average the probabilities of "
            "several. Default: the run's, else one is trained."
        ),
    ] = None,
    teacher_weights: Annotated[
        Path | None, typer.Option(help="safetensors file for a factory.")
    ] = None,
    unlabelled: Annotated[
        Path | None,
        typer.Option(
            help="More inputs, as a folder like --data (its labels are not read), .npy or .npz; "
            "the teacher labels them."
        ),
    ] = None,
    views: Annotated[
        int, typer.Option(min=1, help="Augmented views that teacher and student both see.")
    ] = 1,
    attribution: Annotated[
        bool, typer.Option("--attribution", help="Train the controls without a teacher too.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Trainings of each kind; 1, with --attribution 3.")
    ] = None,
    importance: Annotated[
        str, typer.Option(help="equal, or hardware: feature terms weigh what their layers cost.")
    ] = "equal",
    pair: Annotated[
        list[str] | None,
        typer.Option(
            help="STAGE=PATH: a stage of the student from 1 and the module of your teacher that it "
            "follows, as 2=layer3.1; repeat for more. Default: proposed from shapes and depth."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="First seed.")] = 0,
    calibration: Annotated[
        Literal["auto", "minmax", "percentile", "mse"],
        typer.Option(help="How int8 ranges are found. auto: the best on validation."),
    ] = "auto",
    qat: Annotated[
        Literal["auto", "on", "off"],
        typer.Option(
            help="Train on with simulated int8 rounding. auto: when int8 loses more than 0.5 "
            "points of validation accuracy."
        ),
    ] = "auto",
    accelerator: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the Python files (space, teacher) of the run.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train one student at full length with any distillation methods.

    With all labels a teacher often adds nothing to a small student; --attribution shows what it
    added over cross-entropy, label smoothing and the same transform without a teacher, and ships
    the control when that is at least as good. It pays with few labels: give what you have without
    labels as --unlabelled.

    Example: hwkd distill --student runs/digits --method kd:temperature=4,weight=0.9 --method at
    --attribution --seeds 3 --out student
    """
    from hwkd.cli.distill_figure import write_history_figure
    from hwkd.cli.progress_bars import progress_bars
    from hwkd.engine.distill.run import DistilRequest, run_distillation

    if importance not in ("equal", "hardware"):
        raise ConfigError(f"--importance: {importance!r} is neither equal nor hardware")
    request = DistilRequest(
        student=student,
        methods=tuple(method or ()),
        config=config,
        epochs=epochs,
        task=task,
        data=data,
        teachers=tuple(teacher or ()),
        teacher_weights=teacher_weights,
        unlabelled=unlabelled,
        views=views,
        with_controls=attribution,
        seeds=tuple(range(seed, seed + (seeds or (3 if attribution else 1)))),
        by_hardware=importance == "hardware",
        pairs=tuple(pair or ()),
        calibration=calibration,
        qat=qat,
        accelerator=accelerator,
        command=("hwkd", *sys.argv[1:]),
        trusts=trust,
        out=out,
    )
    with progress_bars(quiet=as_json) as progress:
        report = run_distillation(request, progress=progress)
    write_history_figure(report.epochs, report.out / "training.png")
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
        return
    from rich.console import Console

    _print(report, Console())


def _print(report: DistilReport, console: Console) -> None:
    from rich.table import Table

    if report.pairs:
        table = Table(box=None, title="layer pairs", title_justify="left")
        for column in ("method", "student stage", "teacher stage", "adapter"):
            table.add_column(column)
        for pair in report.pairs:
            table.add_row(
                pair["method"],
                f"{pair['student']} {_shape(pair['student_shape'])}",
                f"{pair['teacher']} {_shape(pair['teacher_shape'])}",
                pair["adapter"],
            )
        console.print(table)
        console.print("choose your own with --method NAME:pairs=1:2+2:3\n", style="dim")
    table = Table(box=None)
    for column in ("training", "validation, int8", "test, int8", "test, float", "seeds"):
        table.add_column(column, justify="left" if column == "training" else "right")
    for arm in report.arms:
        name = f"{arm['name']} (ships)" if arm["name"] == report.exported else arm["name"]
        table.add_row(
            name,
            f"{_mean(arm['validation']):.4f}",
            f"{_mean(arm['test']):.4f}",
            f"{_mean(arm['test_float']):.4f}",
            str(len(arm["test"])),
        )
    console.print(table)
    for line in report.verdict:
        console.print(line, highlight=False)
    if report.quantisation is not None:
        console.print(_quantisation_line(report.quantisation), highlight=False)
    console.print(f"written: {report.out}", highlight=False)


def _quantisation_line(found: QuantisationChoiceRecord) -> str:
    how = " + ".join((found.calibration, *found.corrections))
    parts = [
        f"validation in float {found.validation_float:.4f}",
        f"int8 ({how}) {found.validation_ptq:.4f}",
    ]
    if found.validation_qat is not None:
        parts.append(f"int8 trained on {found.validation_qat:.4f}")
    ships = "the trained one" if found.ships == "qat" else "int8"
    return f"{', '.join(parts)}; {ships} ships"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _shape(shape: list[Any]) -> str:
    return "x".join(str(size) for size in shape)
