"""Logit standardisation: soft targets of z-scored logits, and its control without a teacher."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.logit_method import LabelMethod, LogitMethod
from hwkd.distill.losses.soft_targets import soft_target_loss
from hwkd.distill.method import Method, option

# Added to the standard deviation by the authors' code; part of the published numbers.
_EPS = 1e-7


def standardise_logits(logits: Tensor) -> Tensor:
    """Return each row minus its mean, divided by its unbiased deviation + 1e-7.

    A row of equal logits becomes zeros, with a gradient of zero instead of NaN.
    """
    centred = logits - logits.mean(-1, keepdim=True)
    variance = centred.square().sum(-1, keepdim=True) / (logits.shape[-1] - 1)
    is_flat = variance <= 0
    deviation = variance.masked_fill(is_flat, 1.0).sqrt()
    return centred / (deviation + _EPS)


def standardised_target_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 2.0
) -> Tensor:
    """Return soft-target divergence of standardised logits: T^2 * mean KL.

    Args:
        student_logits: shape [batch, classes], classes >= 3.
        teacher_logits: same shape; no gradient flows into it.
        temperature: softening divisor, > 0.

    Returns:
        Scalar in nats, unchanged by a positive affine map of any row of either side.

    Source:
        Sun et al. 2024, arXiv:2403.01427, algorithm 1.
    """
    student, teacher = at_least_float32(student_logits, teacher_logits.detach())
    return soft_target_loss(standardise_logits(student), standardise_logits(teacher), temperature)


@METHODS.register("lskd")
@dataclass(frozen=True, kw_only=True)
class StandardisedTargets(LogitMethod):
    """Logit standardisation (Sun et al. 2024); needs logits of at least three classes."""

    temperature: float = option(2.0, "softening divisor of standardised logits", above=0)

    name = "lskd"
    compares_raw_logits = True
    formula = "T² · mean KL(softmax(ẑ_t / T) ‖ softmax(ẑ_s / T)), ẑ = (z − mean) / deviation"
    paper = "Sun et al. 2024, arXiv:2403.01427"
    # Two standardised logits are always (+0.71, -0.71).
    min_classes = 3
    float32_only = True
    usual_weight = 9.0

    def divergence(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the divergence of standardised logits."""
        del labels
        return standardised_target_loss(student, teacher, self.temperature)

    def no_teacher_control(self) -> Method:
        """Return cross-entropy on standardised logits."""
        return StandardisedCrossEntropy(temperature=self.temperature)


@METHODS.register("ce_standardised")
@dataclass(frozen=True, kw_only=True)
class StandardisedCrossEntropy(LabelMethod):
    """Cross-entropy of standardised logits: the transform of `lskd` without a teacher.

    Explains most of what scale-free losses seem to gain on students under 1,000 parameters.
    """

    temperature: float = option(2.0, "softening divisor of standardised logits", above=0)

    name = "ce_standardised"
    family = "control"
    formula = "T² · CE(softmax(ẑ_s / T), y)"
    paper = "control of arXiv:2403.01427, no paper of its own"
    # Two standardised logits are always (+0.71, -0.71).
    min_classes = 3
    float32_only = True

    def loss(self, student: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of standardised logits."""
        standardised = standardise_logits(student) / self.temperature
        return functional.cross_entropy(standardised, labels) * self.temperature**2
