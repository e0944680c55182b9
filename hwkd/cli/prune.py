"""`hwkd prune`: a smaller language model, and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.language.prune_record import PruneRecord


def _worth(found: PruneRecord) -> str:
    gain = found.teacher_gain()
    if gain is None:
        return ""
    more_or_less = "less" if gain > 0 else "more"
    return f"; with the teacher {abs(gain):.1%} {more_or_less} than without it"


def _show(found: PruneRecord) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{found.small.parameters:,} of {found.whole.parameters:,} weights are left",
        caption=f"perplexity of a token, measured here; what ships: {found.ships}{_worth(found)}",
    )
    table.add_column("decoder")
    for heading in ("steps", "seconds", "validation", "test", "bits per character"):
        table.add_column(heading, justify="right")
    for arm in found.arms:
        table.add_row(
            arm.name, f"{arm.steps:,}", f"{arm.seconds:g}", f"{arm.validation_perplexity:.2f}",
            f"{arm.test_perplexity:.2f}", f"{arm.test_bits_per_character:.3f}",
        )  # fmt: skip
    Console().print(table)


COMMANDS = (
    Command(
        name="prune",
        function=hwkd.prune,
        show=_show,
        examples=(
            "hwkd prune decoder --keep depth:4,width:0.5 --data speeches --timeout 20min "
            "--out smaller",
        ),
    ),
)
