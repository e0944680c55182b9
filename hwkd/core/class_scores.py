"""How well each class is told, which a mean over the classes does not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from hwkd.core.decision_record import Confusion
from hwkd.core.strict_model import StoredInt, StrictModel

IOU, PRECISION, RECALL, F1 = "IoU", "precision", "recall", "F1"


class ClassScores(StrictModel):
    """Scores of one class on one split.

    Attributes:
        name: of the class.
        given: how many examples, pixels or things are of it.
        scores: shares, 0 to 1, by name; None where there was nothing to judge, such as a precision
            of what was never named.
    """

    name: str
    given: StoredInt
    scores: dict[str, float | None]


# Of a class: how many were right, were named so and are so.
Counts: TypeAlias = tuple[int, int, int]


def scores_of_counts(
    confusion: Confusion, names: Sequence[str], wanted: Sequence[str]
) -> tuple[ClassScores, ...]:
    """Return scores of each class from how often each was taken for which.

    Args:
        names: of the classes, in the order of rows and columns.
        wanted: names of scores.
    """
    named = [sum(column) for column in zip(*confusion, strict=True)]
    return tuple(
        ClassScores(
            name=name,
            given=sum(row),
            scores=shares((row[label], named[label], sum(row)), wanted),
        )
        for label, (name, row) in enumerate(zip(names, confusion, strict=True))
    )


def shares(counts: Counts, wanted: Sequence[str]) -> dict[str, float | None]:
    """Return scores by name, of how many were right, were named so and are so."""
    right, named, given = counts
    parts = {
        IOU: (right, given + named - right),
        PRECISION: (right, named),
        RECALL: (right, given),
        F1: (2 * right, given + named),
    }
    return {name: parts[name][0] / parts[name][1] if parts[name][1] else None for name in wanted}
