"""Pseudo-labels: what a teacher sees in pictures without boxes becomes their boxes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hwkd.core.boxes import BOX_VALUES, NO_BOX
from hwkd.core.catalog import METHODS
from hwkd.core.decision_record import DecisionRecord
from hwkd.core.head import Head
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.method import Loss, Method, RunShapes, option


@METHODS.register("pseudo_boxes")
@dataclass(frozen=True, kw_only=True)
class PseudoBoxes(Method):
    """Pseudo-labels (Sohn et al. 2020): the teacher's boxes teach pictures that have none.

    Needs outputs about things and `--unlabelled` pictures. What the teacher is surer of than
    `surest` becomes a box, and the student learns from them as from given ones.
    """

    surest: float = option(
        0.4, "probability from which on a thing becomes a box", low=0.02, high=0.99
    )

    name = "pseudo_boxes"
    family = "response"
    formula = "task loss(z_s, boxes of z_t with p ≥ τ) on pictures without boxes"
    paper = "Sohn et al. 2020, arXiv:2005.04757"
    needs = frozenset({Signal.LOGITS})
    of_things = True
    float32_only = True
    # A teacher's own outputs do not repeat the boxes that they become.
    is_zero_at_teacher = False

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse data of which every picture has its boxes."""
        if not shapes.has_unlabelled:
            return "every picture has boxes; give pictures without by --unlabelled FOLDER"
        return None

    def build(self, shapes: RunShapes) -> Loss:
        """Return the loss, which asks the head what outputs mean."""
        if shapes.head is None:
            raise ValueError("pseudo_boxes was built without the head of its run")
        return _Pseudo(self.surest, shapes.head)


class _Pseudo:
    def __init__(self, surest: float, head: Head) -> None:
        self._surest, self._head = surest, head

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        ours, theirs = at_least_float32(
            student.need(Signal.LOGITS), teacher.need(Signal.LOGITS).detach()
        )
        is_without = ~torch.from_numpy(self._head.is_labelled(batch.labels.cpu().numpy()))
        rows = is_without.nonzero()[:, 0].to(ours.device)
        if not len(rows):
            return {"pseudo_boxes": ours.sum() * 0.0}
        boxes = pseudo_boxes(theirs[rows], self._head, surest=self._surest)
        lost = self._head.loss(ours[rows], boxes)
        return {"pseudo_boxes": lost * (len(rows) / len(ours))}


def pseudo_boxes(outputs: Tensor, head: Head, *, surest: float) -> Tensor:
    """Return the boxes that outputs of a teacher are taken for, shape [batch, most, 5].

    Args:
        outputs: shape [batch, outputs, height, width].
        surest: probability from which on a thing is one, above 0 and below 1.
    """
    decision = DecisionRecord(
        answer="a thing",
        threshold=math.log(surest / (1.0 - surest)),
        rate="given",
        wanted=surest,
        reached=surest,
        detected=0.0,
    )
    found = head.at(decision).answers(outputs.cpu().numpy(), outputs.cpu().numpy())
    boxes = torch.full((*found.shape[:2], BOX_VALUES), NO_BOX)
    seen = torch.from_numpy(found).float()
    kept = (seen[..., 0] >= 0) & (seen[..., 1] >= surest)
    boxes[..., 0] = seen[..., 0].where(kept, boxes[..., 0])
    boxes[..., 1:] = seen[..., 2:] * kept[..., None]
    return boxes.to(outputs.device)
