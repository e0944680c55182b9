"""Outputs that are points: a class for each cell of a picture, largest at the middle of a thing.

Counting needs no edges, and hardly more memory than telling classes apart.
"""

from __future__ import annotations

from hwkd.core.boxes import CELL_PIXELS
from hwkd.core.head import OUTPUT_KINDS, CAnswer, Head, OutputForm, OutputKind
from hwkd.tasks.things_c import things_answer
from hwkd.tasks.things_head import COUNT, F1, RARE, THING_SCORES, ThingsHead
from hwkd.tasks.things_python import things_python

POINT_METRICS = (F1, COUNT)


def _answer(form: OutputForm) -> CAnswer:
    return things_answer(len(form.names), form.decision, as_points=True)


def _head(form: OutputForm) -> Head:
    return points_head(form.names)


def _intended_use(count: int, names: str) -> str:
    del count
    return (
        f"counting things ({names}) in pictures like those of the training data, and pointing at "
        "each. **Not covered:** pictures of another origin, camera or preparation, two things in "
        "one cell of 8x8 pixels or in neighbours, and more than 32 in a picture."
    )


_POINTS = OutputKind(
    name="points",
    of_classes=False,
    plain_training="boxes alone",
    divergence_unit="squared logits",
    answer_rule="cells of 8x8 pixels whose largest output reaches the threshold and is no smaller "
    "than those of the cells around",
    intended_use=_intended_use,
    python=things_python(as_points=True),
    answer=_answer,
    head=_head,
    class_scores=THING_SCORES,
    counted="things",
    pictured="left what is there, right what is named, with how sure the network is",
    of_maps=True,
    cell_pixels=CELL_PIXELS,
    edges=0,
    begins_at=RARE,
)
OUTPUT_KINDS.register(_POINTS.name)(_POINTS)


def points_head(classes: tuple[str, ...], *, most: int = 1) -> ThingsHead:
    """Return the head of points.

    Args:
        most: boxes that a target has room for.
    """
    return ThingsHead(names=classes, kind=_POINTS, metrics=POINT_METRICS, as_points=True, most=most)
