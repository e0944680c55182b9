"""`hwkd answers`: what a teacher says of a data set, as one small file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from rich.console import Console

    from hwkd.core.teaching_record import SoftAnswers
    from hwkd.engine.distill.answers import WrittenAnswers


def _show(found: WrittenAnswers) -> None:
    from rich.console import Console

    new = found.examples - found.replayed
    kept = "all outputs" if found.top is None else f"{found.top} classes"
    console = Console()
    console.print(f"teacher: {found.teacher}", highlight=False, soft_wrap=True)
    console.print(
        f"{found.path}: {found.examples:,} answers, {kept} of each, {found.file_bytes:,} bytes "
        f"({found.full_bytes / found.file_bytes:.1f} times smaller than all outputs in float16), "
        f"about data {found.data[:12]}; use it: hwkd distill --teacher {found.path}",
        highlight=False,
        soft_wrap=True,
    )
    if found.replayed:
        console.print(
            f"{found.replayed:,} of them are those of the older file, {new:,} are new",
            highlight=False,
        )
    if found.said is not None:
        _show_said(console, found.said)
    if found.agreement is not None:
        console.print(f"the student's int8 file agrees on {found.agreement:.1%}", highlight=False)


def _show_said(console: Console, said: SoftAnswers) -> None:
    """Show what the answers say beside the label, for some samples from the surest on."""
    from hwkd.report.wrapped_table import WrappedTable

    console.print(
        f"on validation: {said.accuracy:.1%} right, entropy {said.entropy_nats:.3f} nats, "
        f"calibration error {said.calibration_error:.3f}",
        highlight=False,
    )
    table = WrappedTable(box=None)
    table.add_column("sample", justify="right")
    table.add_column("label")
    table.add_column("the teacher's classes")
    table.add_column("nats", justify="right")
    for each in said.samples:
        classes = ", ".join(f"{name} {share:.1%}" for name, share in each.likeliest)
        table.add_row(str(each.row), each.label, classes, f"{each.entropy_nats:.3f}")
    console.print(table)


COMMANDS = (
    Command(
        name="answers",
        function=hwkd.answers,
        show=_show,
        examples=("hwkd answers --student runs/digits --top 4 --out answers.safetensors",),
    ),
)
