"""Soft targets: the student matches the teacher's softened classes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.logit_method import LogitMethod
from hwkd.distill.method import option


def soft_target_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 4.0
) -> Tensor:
    """Return the divergence of the student's softened classes from the teacher's.

    T^2 * mean over batch of sum over classes of p_t * (log p_t - log p_s), p = softmax(z / T).

    Args:
        student_logits: shape [batch, classes], before softmax.
        teacher_logits: same shape; no gradient flows into it.
        temperature: softening divisor, no unit, > 0.

    Returns:
        Scalar in nats, multiplied by temperature squared so that its gradient keeps its size.

    Raises:
        ValueError: if the shapes differ or temperature is not positive.

    Source:
        Hinton et al. 2015, arXiv:1503.02531, section 2. Public code also divides by the class count
        (Model-Optimizer's default), drops T^2 when no labels are given (torchdistill at 3e4373c) or
        takes the squared error of probabilities (KD_Lib); this is the published form.
    """
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"student logits {tuple(student_logits.shape)} and teacher logits "
            f"{tuple(teacher_logits.shape)} differ in shape"
        )
    if temperature <= 0:
        raise ValueError(f"temperature {temperature} must be more than 0")
    student, teacher = at_least_float32(student_logits, teacher_logits.detach())
    divergence = functional.kl_div(
        functional.log_softmax(student / temperature, dim=-1),
        functional.log_softmax(teacher / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    return divergence * temperature**2


@METHODS.register("kd")
@dataclass(frozen=True, kw_only=True)
class SoftTargets(LogitMethod):
    """Soft targets (Hinton et al. 2015): match the teacher's softened classes.

    Needs the logits of both. As the temperature grows it tends to the squared error of centred
    logits divided by twice the class count.
    """

    temperature: float = option(4.0, "softening divisor of both logits", above=0)

    name = "kd"
    formula = "T² · mean_b Σ_c p_t (log p_t − log p_s), p = softmax(z / T)"
    paper = "Hinton et al. 2015, arXiv:1503.02531"
    usual_weight = 1.0

    def divergence(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the softened divergence."""
        del labels
        return soft_target_loss(student, teacher, self.temperature)
