"""Logit regression: the student matches the teacher's logits themselves."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.logit_method import LogitMethod
from hwkd.distill.method import option


def logit_mse_loss(
    student_logits: Tensor, teacher_logits: Tensor, *, centred: bool = False
) -> Tensor:
    """Return the mean squared difference of logits.

    Args:
        student_logits: shape [batch, classes].
        teacher_logits: same shape; no gradient flows into it.
        centred: subtract each row's mean first; softmax does not see that mean.

    Returns:
        Scalar, mean over batch and classes.

    Source:
        Ba and Caruana 2014, arXiv:1312.6184, equation 1 (there a sum over classes).
    """
    student, teacher = at_least_float32(student_logits, teacher_logits.detach())
    difference = student - teacher
    if centred:
        difference = difference - difference.mean(-1, keepdim=True)
    return difference.square().mean()


@METHODS.register("logit_mse")
@dataclass(frozen=True, kw_only=True)
class LogitMse(LogitMethod):
    """Logit regression (Ba and Caruana 2014): match the teacher's logits; needs logits."""

    centred: bool = option(False, "ignore a constant added to a row of logits")

    name = "logit_mse"
    compares_raw_logits = True
    formula = "mean (z_s − z_t)²"
    paper = "Ba and Caruana 2014, arXiv:1312.6184"

    @property
    def suits_values(self) -> bool:
        """It does: differences of values are in deviations of the targets."""
        return not self.centred

    def divergence(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the squared difference."""
        del labels
        return logit_mse_loss(student, teacher, centred=self.centred)
