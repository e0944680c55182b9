"""Bounded regression: a detector follows its teacher's boxes only where those are better."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.distill.method import option
from hwkd.distill.thing_method import ThingMaps, ThingMethod


def weighted_soft_class_loss(student: Tensor, teacher: Tensor, *, background: float) -> Tensor:
    """Return the soft cross-entropy of classes, of which the first, the background, has a weight.

    Args:
        student: logits, shape [positions, classes].
        teacher: same shape.
        background: weight of class 0; the others have 1.

    Returns:
        Mean over positions, in nats.

    Source:
        Chen et al. 2017, NeurIPS, "Learning efficient object detection models", equation 3.
    """
    shares = -teacher.softmax(1) * functional.log_softmax(student, 1)
    return (shares.sum(1) + (background - 1.0) * shares[:, 0]).mean()


def bounded_regression_loss(
    student: Tensor, teacher: Tensor, true: Tensor, *, margin: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the squared error where it and a margin exceed the teacher's, and where that is.

    Args:
        student: offsets of boxes, shape [positives, 4].
        teacher: same shape.
        true: same shape.
        margin: by which the student must be better to be left alone.

    Returns:
        Mean over positives of the error, 0 where the student is better; and 1 where it is not.

    Source:
        Chen et al. 2017, NeurIPS, "Learning efficient object detection models", equation 4.
    """
    ours, theirs = ((side - true).square().sum(1) for side in (student, teacher))
    is_active = (ours + margin > theirs).to(ours.dtype)
    return (ours * is_active).sum() / max(1, len(ours)), is_active


@METHODS.register("bounded")
@dataclass(frozen=True, kw_only=True)
class Bounded(ThingMethod):
    """Bounded regression (Chen et al. 2017): the teacher's classes, and its boxes as a bound.

    Needs outputs about things. Our classes are told apart without one for the background; its
    logit is 0 here.
    """

    background: float = option(1.5, "weight of the background", low=0)
    regression: float = option(0.5, "weight of the boxes, beside classes at 1", low=0)
    margin: float = option(0.0, "squared cells by which a student must be better", low=0)

    name = "bounded"
    formula = "Σ w_c p_t log p_s + ν ‖r_s − r‖² where ‖r_s − r‖² + m > ‖r_t − r‖²"
    paper = "Chen et al. 2017, NeurIPS (own definition of the background's logit)"
    # Cross-entropy keeps the teacher's entropy.
    is_zero_at_teacher = False
    usual_weight = 10.0

    def compare(self, maps: ThingMaps) -> Tensor:
        """Return both parts; points have the first alone."""
        ours, theirs = (
            functional.pad(logits.movedim(1, -1).flatten(0, 2), (1, 0))
            for logits in (maps.student, maps.teacher)
        )
        classes = weighted_soft_class_loss(ours, theirs, background=self.background)
        if not maps.student_edges.shape[1]:
            return classes
        boxes, _ = bounded_regression_loss(
            maps.at_owned(maps.student_edges),
            maps.at_owned(maps.teacher_edges),
            maps.at_owned(maps.wanted_edges),
            margin=self.margin,
        )
        return torch.add(classes, boxes, alpha=self.regression)
