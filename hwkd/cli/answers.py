"""`hwkd answers`: what a teacher says of a data set, as one small file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.engine.distill.answers import WrittenAnswers


def _show(found: WrittenAnswers) -> None:
    from rich.console import Console

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


COMMANDS = (
    Command(
        name="answers",
        function=hwkd.answers,
        show=_show,
        examples=("hwkd answers --student runs/digits --top 4 --out answers.safetensors",),
    ),
)
