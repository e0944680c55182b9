"""`hwkd evaluate`: scores of a network on further data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwkd.api.evaluate import EvaluateOutcome
    from hwkd.core.metric import Metric

# Classes of which a table fits beside each other.
_MOST_IN_TERMINAL = 12
# Classes below each other; `--json` has all.
_MOST_LISTED = 50


def _show(found: EvaluateOutcome) -> None:
    from rich.console import Console

    from hwkd.core.score_interval import scores_by_chance
    from hwkd.io.discovery import output_kind
    from hwkd.report.class_tables import class_table, confusion_table
    from hwkd.report.document import Headline
    from hwkd.report.format import heading
    from hwkd.report.tables import headline_view, table_view

    by_chance = scores_by_chance(found.metrics, found.confusion)
    how = "prepared as in training" if found.prepared else "values as they are"
    lines = [
        Headline(
            label=heading(metric.name),
            value=metric.text(metric.of(found.scores)),
            detail=_detail(found, metric, f"{found.data}, {how}" if number == 0 else "", by_chance),
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
    if 0 < len(found.by_class) <= _MOST_LISTED:
        console.print(table_view(class_table(found.by_class, found.kind)))
    if 0 < len(found.confusion) <= _MOST_IN_TERMINAL:
        counted = output_kind(found.kind).counted
        what = f"{counted[:1].upper()}{counted[1:]} of {found.data}."
        console.print(table_view(confusion_table(found.confusion, found.classes, note=what)))
    for note in found.notes:
        console.print(f"data: {note}", markup=False, highlight=False)
    if found.note is not None:
        console.print(f"Note: {found.note}.")


def _detail(
    found: EvaluateOutcome, metric: Metric, first: str, by_chance: Mapping[str, float]
) -> str:
    """Return chance, interval and number of examples; after the `first` score, of what."""
    if metric.name in by_chance:
        chance = f"chance {metric.text(by_chance[metric.name])}"
        others = _detail(found, metric, first, {})
        return f"{chance}; {others}" if others else chance
    interval = found.intervals.get(metric.name)
    if interval is not None:
        return f"{interval.text(metric)}{' of ' if first else ''}{first}"
    what = "examples"
    if found.recordings is not None:
        what = f"windows of {found.recordings:,} recordings, which depend on each other,"
    return f"{found.examples:,} {what} of {first}" if first else ""


COMMANDS = (
    Command(
        name="evaluate",
        function=hwkd.evaluate,
        show=_show,
        examples=(
            "hwkd evaluate runs/digits --data new.npz",
            "hwkd evaluate model.onnx --data scenes",
        ),
    ),
)
