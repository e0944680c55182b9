"""Outputs that are boxes: a class for each cell of a picture, and the distances of four edges."""

from __future__ import annotations

from hwkd.core.boxes import CELL_PIXELS
from hwkd.core.head import OUTPUT_KINDS, CAnswer, Head, OutputForm, OutputKind
from hwkd.tasks.things_c import things_answer
from hwkd.tasks.things_head import (
    AP50,
    AP50_95,
    COUNT,
    EDGES,
    F1,
    MAP50,
    MAP50_95,
    RARE,
    THING_SCORES,
    ThingsHead,
)
from hwkd.tasks.things_python import things_python

BOX_METRICS = (MAP50, MAP50_95, F1, COUNT)


def _answer(form: OutputForm) -> CAnswer:
    return things_answer(len(form.names) - len(EDGES), form.decision, as_points=False)


def _head(form: OutputForm) -> Head:
    return boxes_head(form.names[: -len(EDGES)])


def _intended_use(count: int, names: str) -> str:
    del count
    return (
        f"finding things in pictures like those of the training data, each with its class and a "
        f"box ({names}). **Not covered:** pictures of another origin, camera or preparation, "
        "things of none of the classes, and more than 32 in a picture."
    )


_BOXES = OutputKind(
    name="boxes",
    of_classes=False,
    plain_training="boxes alone",
    divergence_unit="squared logits and cells",
    answer_rule="every class output that reaches the threshold, with the box that its cell's four "
    "edges (in cells of 8 pixels, from its centre) give; of boxes of one class that overlap by "
    "more than half, the surest, then likewise of boxes of any class; mAP looks at all thresholds "
    "and counts a second class of a box, the answer is cut at one threshold and names each thing "
    "once, which F1 and count error are of",
    intended_use=_intended_use,
    python=things_python(as_points=False),
    answer=_answer,
    head=_head,
    class_scores=(AP50, AP50_95, *THING_SCORES),
    counted="things",
    pictured="left what is there, right what is named, with how sure the network is",
    of_maps=True,
    cell_pixels=CELL_PIXELS,
    edges=len(EDGES),
    begins_at=RARE,
)
OUTPUT_KINDS.register(_BOXES.name)(_BOXES)


def boxes_head(classes: tuple[str, ...], *, most: int = 1) -> ThingsHead:
    """Return the head of boxes.

    Args:
        most: boxes that a target has room for.
    """
    return ThingsHead(
        names=(*classes, *EDGES), kind=_BOXES, metrics=BOX_METRICS, as_points=False, most=most
    )
