"""DIST: correlation of predictions over classes and over the batch, free of scale and shift."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32, pearson
from hwkd.distill.method import LossMethod, Method, RunShapes, both_logits, option
from hwkd.distill.no_teacher import LabelTeacher

# Added to the product of norms by the authors' code; part of the published numbers.
_EPS = 1e-8


def dist_losses(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return T^2 * (1 - correlation) over classes and over the batch.

    Args:
        student_logits: shape [batch, classes].
        teacher_logits: same shape; no gradient flows into it.
        temperature: softening divisor, > 0.

    Returns:
        Two scalars between 0 and 2 T^2: the mean over samples (classes correlated) and the mean
        over classes (samples correlated).

    Source:
        Huang et al. 2022, arXiv:2205.10536, equations 7 and 8. torchdistill's DIST+ at 3e4373c adds
        its channel term with the opposite sign.
    """
    student, teacher = at_least_float32(student_logits, teacher_logits.detach())
    student = (student / temperature).softmax(1)
    teacher = (teacher / temperature).softmax(1)
    over_classes = 1.0 - pearson(student, teacher, eps=_EPS).mean()
    over_batch = 1.0 - pearson(student.T, teacher.T, eps=_EPS).mean()
    return over_classes * temperature**2, over_batch * temperature**2


@METHODS.register("dist")
@dataclass(frozen=True, kw_only=True)
class Dist(LossMethod):
    """DIST (Huang et al. 2022); needs logits, computed in float32.

    With two classes the correlation over classes is a sign and has no gradient; the one over the
    batch remains. Two samples have the same problem the other way round, so the smallest batch is
    3.
    """

    temperature: float = option(
        1.0, "softening divisor; the paper has 1 (ImageNet), 4 (CIFAR)", above=0
    )
    beta: float = option(1.0, "weight of the correlation over classes", low=0)
    gamma: float = option(1.0, "weight of the correlation over the batch", low=0)

    name = "dist"
    family = "response"
    formula = "β T² (1 − ρ over classes) + γ T² (1 − ρ over batch), ρ Pearson of softmax(z / T)"
    paper = "Huang et al. 2022, arXiv:2205.10536"
    needs = frozenset({Signal.LOGITS})
    min_batch = 3
    float32_only = True
    usual_weight = 2.0

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse two classes when only the correlation over classes is on."""
        if shapes.classes == 2 and self.gamma == 0:
            return "with 2 classes the correlation over classes is a sign; give gamma > 0 or use kd"
        return None

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms "dist_classes" and "dist_batch"."""
        del batch
        logits = both_logits(student, teacher)
        over_classes, over_batch = dist_losses(*logits, self.temperature)
        terms = {}
        if self.beta > 0 and logits[0].shape[1] > 2:
            terms["dist_classes"] = self.beta * over_classes
        if self.gamma > 0:
            terms["dist_batch"] = self.gamma * over_batch
        return terms

    def no_teacher_control(self) -> Method:
        """Return the correlations with smoothed labels."""
        return LabelTeacher.of(self)
