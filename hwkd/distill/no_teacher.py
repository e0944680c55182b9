"""The no-teacher control of a logit method: the same transform, labels instead of a teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.method import LossMethod, option


def label_logits(labels: Tensor, classes: int, correct_probability: float) -> Tensor:
    """Return logits of a virtual teacher that knows the labels and nothing else.

    Args:
        labels: shape [batch], int64, 0 to classes - 1.
        classes: number of classes, >= 2.
        correct_probability: of the true class; the other classes share the rest evenly.

    Returns:
        Shape [batch, classes], float32; softmax of a row gives the probabilities.
    """
    other = math.log((1.0 - correct_probability) / (classes - 1))
    one_hot = functional.one_hot(labels, classes).to(torch.get_default_dtype())
    return other + one_hot * (math.log(correct_probability) - other)


@dataclass(frozen=True, kw_only=True)
class LabelTeacher(LossMethod):
    """A logit method whose teacher is replaced by smoothed labels.

    What a student gains from this is the transform's doing (its scale, its temperature), not the
    teacher's.
    """

    method: LossMethod
    correct_probability: float = option(0.9, "of the true class", above=0, high=0.999999)

    family = "control"
    formula = "the method's loss with z_t = log smoothed one-hot labels"
    paper = "control, no paper; compare Müller et al. 2019, arXiv:1906.02629"
    needs = frozenset({Signal.LOGITS})
    needs_labels = True
    uses_teacher = False

    @classmethod
    def of(cls, method: LossMethod) -> LabelTeacher:
        """Wrap a logit method."""
        return cls(method=method)

    @property
    def name(self) -> str:  # type: ignore[override]  # a class constant elsewhere
        """Name of the method with its control marked."""
        return f"{self.method.name}-from-labels"

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the method's terms against the virtual teacher."""
        del teacher
        logits = student.need(Signal.LOGITS)
        virtual = label_logits(batch.labels, logits.shape[-1], self.correct_probability)
        views = Views(logits=virtual.to(logits.dtype))
        terms = self.method(student, views, batch)
        return {f"{term}-from-labels": value for term, value in terms.items()}
