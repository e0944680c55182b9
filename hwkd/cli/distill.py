"""`hwkd distill`: trains one student in full, and says what the teacher was worth."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.core.final_record import QuantisationChoiceRecord
    from hwkd.engine.distill.run import DistilReport

__all__ = ["COMMANDS"]


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Mapping[str, Any]]:
    from hwkd.cli.progress_bars import progress_bars

    with progress_bars(quiet=quiet) as progress:
        yield {"progress": progress, "command": ("hwkd", *sys.argv[1:])}


def _show(report: DistilReport) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
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


COMMANDS = (
    Command(
        name="distill",
        function=hwkd.distill,
        show=_show,
        examples=(
            "hwkd distill --student runs/digits --method kd:temperature=4,weight=0.9 --method at "
            "--attribution --seeds 3 --out student",
        ),
        live=_progress,
        reads_config=True,
    ),
)
