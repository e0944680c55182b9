"""`hwkd generate`: samples made from a teacher, or from data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.engine.distill.generate import Generated


def _show(made: Generated) -> None:
    from rich.console import Console

    counts = ", ".join(map(str, made.samples_of_class))
    console = Console()
    console.print(f"made by {made.maker}", highlight=False, soft_wrap=True)
    if made.teacher is not None:
        console.print(f"teacher: {made.teacher}", highlight=False, soft_wrap=True)
    console.print(
        f"{made.path}: {sum(made.samples_of_class):,} samples ({counts} of a class), "
        f"{made.file_bytes:,} bytes; learn from it: hwkd distill --made {made.path}",
        highlight=False,
        soft_wrap=True,
    )


COMMANDS = (
    Command(
        name="generate",
        function=hwkd.generate,
        show=_show,
        examples=(
            "hwkd generate --student runs/digits --by inversion:samples=2000 --out made.npz",
        ),
    ),
)
