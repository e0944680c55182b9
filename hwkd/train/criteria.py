"""Criteria of logit distillation and of its controls; see `hwkd.train.loop.Criterion`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.train.loop import Batch

__all__ = ["CachedDistillation", "CrossEntropy", "LogitLoss"]

LogitLoss = Callable[[Tensor, Tensor], Tensor]
"""(student logits, teacher logits), each [batch, classes] -> scalar."""


class CrossEntropy:
    """Hard labels only: what a student learns without a teacher."""

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        """`label_smoothing` moves that share of the target evenly to all classes, 0 to 1."""
        self._label_smoothing = label_smoothing

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the term `cross_entropy`."""
        logits = module(batch.inputs)
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self._label_smoothing)
        return {"cross_entropy": loss}

    def parameters(self) -> Sequence[nn.Parameter]:
        """None."""
        return ()


class CachedDistillation:
    """Hard labels and a teacher whose logits were computed once.

    The teacher is never run: each sample's logits are looked up by its row and by the augmented
    view that the student sees, so teacher and student always speak of the same picture.
    """

    def __init__(
        self, teacher_logits: Sequence[Tensor], loss: LogitLoss, *, name: str, weight: float
    ) -> None:
        """Create the criterion.

        Args:
            teacher_logits: one [samples, classes] tensor per view, on the training device.
            loss: compares student and teacher logits.
            name: of the distillation term in records, for example "kd".
            weight: of the distillation term, 0 to 1; cross-entropy gets the rest.
        """
        self._teacher_logits = tuple(teacher_logits)
        self._loss = loss
        self._name = name
        self._weight = weight

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms `cross_entropy` and the one named at creation."""
        student_logits = module(batch.inputs)
        teacher_logits = self._teacher_logits[batch.view].index_select(0, batch.sample_ids)
        cross_entropy = functional.cross_entropy(student_logits, batch.labels)
        distilled = self._loss(student_logits, teacher_logits.to(torch.float32))
        return {
            "cross_entropy": (1.0 - self._weight) * cross_entropy,
            self._name: self._weight * distilled,
        }

    def parameters(self) -> Sequence[nn.Parameter]:
        """None: logit losses train nothing beside the student."""
        return ()
