"""How well each class is told, and which was taken for which."""

from __future__ import annotations

from collections.abc import Sequence

from hwkd.core.class_scores import ClassScores, scores_of_counts
from hwkd.core.decision_record import Confusion
from hwkd.core.final_record import FinalRecord
from hwkd.core.run_record import DataRecord
from hwkd.io.discovery import output_kind
from hwkd.report import format as fmt
from hwkd.report.document import Cell, Column, Table

_MEANINGS = {
    "IoU": "of what is of the class or is named so, the share that is both",
    "AP@50": "average precision at all thresholds, a box being right that shares half with one",
    "AP@50:95": "its mean over stricter shares, up to 95 %",
    "precision": "of those named so, the share that is",
    "recall": "of those that are, the share named so",
    "F1": "harmonic mean of precision and recall",
}
# Of them the first that is there has bars: what sums a class up.
_WHOLE = ("IoU", "AP@50", "F1")
_ROWS_UNFOLDED = 30


def scores_by_class(final: FinalRecord, data: DataRecord) -> tuple[ClassScores, ...]:
    """Return the scores of each class on test, int8; none where there are no classes."""
    if final.by_class or not final.confusion:
        return final.by_class
    kind = output_kind(data.kind)
    return scores_of_counts(final.confusion, kind.answers or data.class_names, kind.class_scores)


def class_tables(final: FinalRecord, data: DataRecord) -> tuple[Table, ...]:
    """Return the table of each class on test; none where there are no classes."""
    found = scores_by_class(final, data)
    note = "Of the int8 file on the test split. "
    return (class_table(found, data.kind, of="test ", note=note),) if found else ()


def class_table(found: Sequence[ClassScores], kind: str, *, of: str = "", note: str = "") -> Table:
    """List the scores of every class.

    Args:
        kind: of the outputs, as records name it.
        of: stands before what is counted, as "test".
        note: what the scores are of.
    """
    names = tuple(found[0].scores)
    barred = next((name for name in _WHOLE if name in names), "")
    meanings = "; ".join(f"{name}: {_MEANINGS[name]}" for name in names if name in _MEANINGS)
    return Table(
        title="Each class",
        columns=(
            Column(title="class"),
            Column(title=f"{of}{output_kind(kind).counted}", is_number=True),
            *(Column(title=name, basis="measured", is_number=True) for name in names),
        ),
        rows=tuple(
            (
                Cell(one.name),
                Cell(fmt.integer(one.given)),
                *(_share(one.scores.get(name), has_bar=name == barred) for name in names),
            )
            for one in found
        ),
        note=f"{note}{meanings[:1].upper()}{meanings[1:]}.",
        is_long=len(found) > _ROWS_UNFOLDED,
    )


def _share(value: float | None, *, has_bar: bool) -> Cell:
    return Cell("none" if value is None else fmt.percent(value), value if has_bar else None)


def confusion_table(confusion: Confusion, names: tuple[str, ...], *, note: str) -> Table:
    """Show which class was taken for which.

    Args:
        note: what was counted.
    """
    return Table(
        title="Which class was taken for which",
        columns=(
            Column(title="is"),
            *(Column(title=n, basis="measured", is_number=True, under="named") for n in names),
        ),
        rows=tuple(
            (Cell(name), *(Cell(fmt.integer(n), n / max(1, sum(row))) for n in row))
            for name, row in zip(names, confusion, strict=True)
        ),
        note=f"{note} Bars: shares of a row.",
        is_long=len(names) > 12,
    )
