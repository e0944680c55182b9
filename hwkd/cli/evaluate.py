"""`hwkd evaluate`: scores of a network on further data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from hwkd.api.evaluate import EvaluateOutcome


def _show(found: EvaluateOutcome) -> None:
    from rich.console import Console

    from hwkd.report.document import Headline
    from hwkd.report.tables import headline_view

    how = "prepared as in training" if found.prepared else "values as they are"
    lines = [
        Headline(
            label=metric.name[:1].upper() + metric.name[1:],
            value=metric.text(metric.of(found.scores)),
            detail="" if number else f"{found.examples:,} examples of {found.data}, {how}",
            basis="measured",
        )
        for number, metric in enumerate(found.metrics)
    ]
    if found.reported is not None:
        first = found.metrics[0]
        lines.append(
            Headline(
                label=f"In the report: test {first.name}",
                value=first.text(first.of(found.reported)),
                detail="of the test split of its own data",
                basis="measured",
            )
        )
    console = Console()
    console.print(headline_view(lines))
    if found.note is not None:
        console.print(f"Note: {found.note}.")


COMMANDS = (
    Command(
        name="evaluate",
        function=hwkd.evaluate,
        show=_show,
        examples=("hwkd evaluate runs/digits --data new.npz",),
    ),
)
