"""Methods that compare the logits of two networks, or of one network with the labels."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.method import Family, LossMethod, Method
from hwkd.distill.no_teacher import LabelTeacher


class LogitMethod(LossMethod):
    """One divergence of the student's logits from the teacher's, a term of the method's name."""

    family: ClassVar[Family] = "response"
    needs = frozenset({Signal.LOGITS})

    @abstractmethod
    def divergence(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar; logits are at least float32, and the teacher's carry no gradient."""

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the divergence under the method's name."""
        ours, theirs = at_least_float32(
            student.need(Signal.LOGITS), teacher.need(Signal.LOGITS).detach()
        )
        return {self.name: self.divergence(ours, theirs, batch.labels)}

    def no_teacher_control(self) -> Method | None:
        """Return the same divergence from smoothed labels.

        There is none for a method that uses the label itself: with labels for a teacher it is plain
        cross-entropy.
        """
        return None if self.needs_labels or self.own_source() is not None else LabelTeacher.of(self)


class LabelMethod(LossMethod):
    """One loss of the student's logits and the labels, a term of the method's name."""

    needs = frozenset({Signal.LOGITS})
    needs_labels = True
    uses_teacher = False

    @abstractmethod
    def loss(self, student: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar; logits are at least float32."""

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the loss under the method's name."""
        del teacher
        (logits,) = at_least_float32(student.need(Signal.LOGITS))
        return {self.name: self.loss(logits, batch.labels)}
