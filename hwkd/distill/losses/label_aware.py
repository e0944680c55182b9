"""Soft targets that look at the labels: weighed per sample, corrected, or sharpened."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.logit_method import LogitMethod
from hwkd.distill.losses.of_classes import label_loss, soft_cross_entropy
from hwkd.distill.method import option

# Added to denominators by the public code; part of the published numbers.
_EPS = 1e-7


def weighted_soft_label_loss(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float = 2.0
) -> Tensor:
    """Return T^2 * mean of (1 - exp(-CE_s / CE_t)) * CE(student, softened teacher).

    Samples on which the student is already as good as the teacher count less. The weight carries no
    gradient.

    Args:
        student_logits: shape [batch, classes].
        teacher_logits: same shape; no gradient flows into it.
        labels: shape [batch], int64.
        temperature: softening divisor of the soft part, > 0.

    Source:
        Zhou et al. 2021, arXiv:2102.00650, equation 9.
    """
    student, teacher = at_least_float32(student_logits, teacher_logits.detach())
    own, theirs = (label_loss(logits, labels) for logits in (student.detach(), teacher))
    weight = 1 - torch.exp(-(own / (theirs + _EPS)))
    return (weight * soft_cross_entropy(student, teacher, temperature=temperature)).mean()


def one_for_all_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    eps: float = 1.0,
    temperature: float = 1.0,
) -> Tensor:
    """Return -mean of sum over classes of ((p_t + y)^eps - y) * log p_s, y one-hot.

    Args:
        student_logits: shape [batch, classes].
        teacher_logits: same shape; no gradient flows into it.
        labels: shape [batch], int64.
        eps: > 1 strengthens the true class; 1 is the cross-entropy with the teacher.
        temperature: softening divisor, > 0; no factor T^2.

    Source:
        Hao et al. 2023, arXiv:2310.19444, equation 5.
    """
    student, teacher = at_least_float32(student_logits, teacher_logits.detach())
    one_hot = functional.one_hot(labels, student.shape[1]).to(student.dtype)
    target = ((teacher / temperature).softmax(1) + one_hot) ** eps - one_hot
    log_student = functional.log_softmax(student / temperature, dim=1)
    return -(target * log_student).sum(1).mean()


def corrected_probabilities(probabilities: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Return the teacher's probabilities moved to the label until it leads by `threshold`.

    Args:
        probabilities: shape [batch, classes], rows summing to 1.
        labels: shape [batch], int64.
        threshold: 0 to 1.

    Source:
        Minifinetuning, 2025, arXiv:2506.15702, section 3; a right answer is raised by `threshold`,
        up to 1.
    """
    own = probabilities.gather(1, labels[:, None])
    top = probabilities.amax(1, keepdim=True)
    raised = (own + threshold).clamp(max=1.0)
    share = torch.where(
        own == top,
        (raised - top) / (1 - top + _EPS),
        (top - own + threshold) / (1 + top - own + _EPS),
    )
    one_hot = functional.one_hot(labels, probabilities.shape[1]).to(probabilities.dtype)
    return probabilities * (1 - share) + one_hot * share


def corrected_target_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    threshold: float = 0.2,
    temperature: float = 1.0,
) -> Tensor:
    """Return T^2 * mean KL from the corrected teacher, nats.

    Args:
        student_logits: shape [batch, classes].
        teacher_logits: same shape; no gradient flows into it.
        labels: shape [batch], int64.
        threshold: see `corrected_probabilities`.
        temperature: softening divisor, > 0.
    """
    student, teacher = at_least_float32(student_logits, teacher_logits.detach())
    target = corrected_probabilities((teacher / temperature).softmax(1), labels, threshold)
    log_student = functional.log_softmax(student / temperature, dim=1)
    rows = (torch.xlogy(target, target) - target * log_student).sum(1)
    return rows.mean() * temperature**2


@METHODS.register("wsld")
@dataclass(frozen=True, kw_only=True)
class WeightedSoftLabels(LogitMethod):
    """Weighted soft labels (Zhou et al. 2021); needs logits and labels."""

    temperature: float = option(2.0, "softening divisor of both logits", above=0)

    name = "wsld"
    formula = "T² mean (1 − exp(−CE_s / CE_t)) · CE(p_t, p_s)"
    paper = "Zhou et al. 2021, arXiv:2102.00650"
    needs_labels = True
    # A cross-entropy with soft targets, not a divergence.
    is_zero_at_teacher = False
    usual_weight = 2.5

    def divergence(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the weighed cross-entropy."""
        return weighted_soft_label_loss(student, teacher, labels, self.temperature)


@METHODS.register("ofa")
@dataclass(frozen=True, kw_only=True)
class OneForAll(LogitMethod):
    """One-for-all (Hao et al. 2023), for a teacher of another kind of network; needs logits."""

    eps: float = option(1.0, "power that strengthens the true class", above=0)
    temperature: float = option(1.0, "softening divisor of both logits", above=0)

    name = "ofa"
    formula = "−mean Σ_c ((p_t + y)^ε − y) log p_s"
    paper = "Hao et al. 2023, arXiv:2310.19444"
    needs_labels = True
    # A cross-entropy with soft targets, not a divergence.
    is_zero_at_teacher = False

    def divergence(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy with strengthened targets."""
        return one_for_all_loss(
            student, teacher, labels, eps=self.eps, temperature=self.temperature
        )


@METHODS.register("mft")
@dataclass(frozen=True, kw_only=True)
class CorrectedTargets(LogitMethod):
    """Corrected targets (Minifinetuning 2025): a teacher moved to the label; needs logits."""

    threshold: float = option(0.2, "lead that the label is given", low=0, high=1)
    temperature: float = option(1.0, "softening divisor of both logits", above=0)

    name = "mft"
    formula = "T² mean KL(corrected p_t ‖ p_s)"
    paper = "Minifinetuning 2025, arXiv:2506.15702"
    needs_labels = True
    # The correction moves the target away from the teacher.
    is_zero_at_teacher = False

    def divergence(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the divergence from corrected targets."""
        return corrected_target_loss(
            student, teacher, labels, threshold=self.threshold, temperature=self.temperature
        )
