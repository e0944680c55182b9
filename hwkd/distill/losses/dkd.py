"""Decoupled distillation: the true class and the other classes weighed apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32, kl_from_logits
from hwkd.distill.method import LossMethod, Method, RunShapes, both_logits, option
from hwkd.distill.no_teacher import LabelTeacher


def decoupled_target_losses(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float = 4.0
) -> tuple[Tensor, Tensor]:
    """Return the divergences on (true class or not) and among the other classes.

    TCKD = T^2 * mean KL of (p_y, 1 - p_y); NCKD = T^2 * mean KL of the softmax over classes other
    than y.

    Args:
        student_logits: shape [batch, classes].
        teacher_logits: same shape; no gradient flows into it.
        labels: shape [batch], int64.
        temperature: softening divisor, > 0.

    Returns:
        Two scalars in nats. The second is 0 for two classes: one other class has nothing to share.

    Source:
        Zhao et al. 2022, arXiv:2203.08679, equation 7. Public code takes the logarithm of a
        probability, which is minus infinity for logits near 1e4; here 1 - p_y is a log-sum-exp of
        the others.
    """
    student, teacher = at_least_float32(student_logits, teacher_logits.detach())
    student, teacher = student / temperature, teacher / temperature
    target = kl_from_logits(_true_or_not(student, labels), _true_or_not(teacher, labels))
    others = kl_from_logits(_others(student, labels), _others(teacher, labels))
    return target.mean() * temperature**2, others.mean() * temperature**2


def _true_or_not(logits: Tensor, labels: Tensor) -> Tensor:
    true = logits.gather(1, labels[:, None])
    rest = _others(logits, labels).logsumexp(1, keepdim=True)
    return torch.cat([true, rest], dim=1)


def _others(logits: Tensor, labels: Tensor) -> Tensor:
    is_other = ~functional.one_hot(labels, logits.shape[1]).bool()
    return logits[is_other].reshape(len(logits), -1)


@METHODS.register("dkd")
@dataclass(frozen=True, kw_only=True)
class DecoupledTargets(LossMethod):
    """Decoupled distillation (Zhao et al. 2022); needs logits and labels.

    With two classes only the true-class term has a gradient. The paper warms the weight up over the
    first 20 of 240 epochs (`warmup=0.08`).
    """

    temperature: float = option(4.0, "softening divisor of both logits", above=0)
    alpha: float = option(1.0, "weight of the true-class term", low=0)
    beta: float = option(8.0, "weight of the other-classes term", low=0)

    name = "dkd"
    family = "response"
    formula = "α · TCKD + β · NCKD, each T² · mean_b KL"
    paper = "Zhao et al. 2022, arXiv:2203.08679"
    needs = frozenset({Signal.LOGITS})
    needs_labels = True

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse two classes when only the other-classes term is on."""
        if shapes.classes == 2 and self.alpha == 0:
            return "with 2 classes the other-classes term is always 0; give alpha > 0 or use kd"
        return None

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return both weighted divergences as "dkd_target" and "dkd_others"."""
        logits = both_logits(student, teacher)
        target, others = decoupled_target_losses(*logits, batch.labels, self.temperature)
        terms = {"dkd_target": self.alpha * target, "dkd_others": self.beta * others}
        # A term that is off, or 0 for every batch of two classes, is not a broken tap.
        if self.alpha == 0:
            del terms["dkd_target"]
        if self.beta == 0 or logits[0].shape[1] == 2:
            del terms["dkd_others"]
        return terms

    def no_teacher_control(self) -> Method:
        """Return the same divergences from smoothed labels."""
        return LabelTeacher.of(self)
