"""Soft targets at several temperatures, and the Gram matrices of predictions."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.logit_method import LogitMethod
from hwkd.distill.losses.soft_targets import soft_target_loss
from hwkd.distill.method import LossMethod, Method, both_logits, option
from hwkd.distill.no_teacher import LabelTeacher

_TEMPERATURES = (2.0, 3.0, 4.0, 5.0, 6.0)
# Added to the teacher's probabilities by the authors' code; part of the published numbers.
_PEER_FLOOR = 1e-7


def class_correlation_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 4.0
) -> Tensor:
    """Return ||P_s^T P_s - P_t^T P_t||_F^2 / classes, P the softened predictions of a batch.

    Args:
        student_logits: shape [batch, classes].
        teacher_logits: same shape; no gradient flows into it.
        temperature: softening divisor, > 0; no factor T^2.

    Source:
        Jin et al. 2023, CVPR, "Multi-Level Logit Distillation", equation 8.
    """
    ours, theirs = _predictions(student_logits, teacher_logits, temperature)
    return (ours.T @ ours - theirs.T @ theirs).square().sum() / ours.shape[1]


def batch_correlation_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 4.0
) -> Tensor:
    """Return ||P_s P_s^T - P_t P_t^T||_F^2 / batch; arguments as `class_correlation_loss`.

    Source:
        Jin et al. 2023, CVPR, equation 6.
    """
    ours, theirs = _predictions(student_logits, teacher_logits, temperature)
    return (ours @ ours.T - theirs @ theirs.T).square().sum() / ours.shape[0]


def _predictions(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    student, teacher = at_least_float32(student_logits, teacher_logits.detach())
    return (student / temperature).softmax(1), (teacher / temperature).softmax(1)


def peer_target_loss(
    student_logits: Tensor, peer_logits: Tensor, temperature: float = 3.0
) -> Tensor:
    """Return T^2 * mean over batch of sum over classes of q * (log q - log p_s), q = p_t + 1e-7.

    Args:
        student_logits: shape [batch, classes].
        peer_logits: same shape, a peer's or the mean of peers'; no gradient flows into it.
        temperature: softening divisor, > 0.

    Source:
        Chen et al. 2020, arXiv:1912.00350; the floor is the authors' code's.
    """
    student, peer = at_least_float32(student_logits, peer_logits.detach())
    target = (peer / temperature).softmax(1) + _PEER_FLOOR
    log_student = functional.log_softmax(student / temperature, dim=1)
    return (target * (target.log() - log_student)).sum(1).mean() * temperature**2


@METHODS.register("mlkd")
@dataclass(frozen=True, kw_only=True)
class MultiLevelLogits(LossMethod):
    """Multi-level logits (Jin et al. 2023): samples, batch and classes at temperatures 2 to 6.

    Needs logits. The paper adds a second, strongly augmented view; here every view of the run
    counts. The public code masks an already averaged number, which halves its weight.
    """

    instance: float = option(1.0, "weight of the soft targets", low=0)
    batch: float = option(1.0, "weight of the batch's Gram matrix", low=0)
    classes: float = option(1.0, "weight of the classes' Gram matrix", low=0)

    name = "mlkd"
    family = "response"
    formula = "Σ_T T² KL + ‖P_s P_sᵀ − P_t P_tᵀ‖² / B + ‖P_sᵀ P_s − P_tᵀ P_t‖² / C"
    paper = "Jin et al. 2023, CVPR"
    needs = frozenset({Signal.LOGITS})
    min_batch = 2
    float32_only = True

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms "mlkd_instance", "mlkd_batch" and "mlkd_classes"."""
        del batch
        logits = both_logits(student, teacher)
        parts = {
            "mlkd_instance": (self.instance, soft_target_loss),
            "mlkd_batch": (self.batch, batch_correlation_loss),
            "mlkd_classes": (self.classes, class_correlation_loss),
        }
        terms = {}
        for term, (weight, loss) in parts.items():
            if weight > 0:
                values = [loss(*logits, temperature) for temperature in _TEMPERATURES]
                terms[term] = weight * sum(values[1:], values[0])
        return terms

    def no_teacher_control(self) -> Method:
        """Return the same terms from smoothed labels."""
        return LabelTeacher.of(self)


@METHODS.register("peers")
@dataclass(frozen=True, kw_only=True)
class PeerTargets(LogitMethod):
    """Peer targets (Chen et al. 2020): soft targets with a floor under the peers' probabilities.

    Give an ensemble as the teacher. With temperature 1 and no floor this is deep mutual learning's
    term.
    """

    temperature: float = option(3.0, "softening divisor of both logits", above=0)

    name = "peers"
    formula = "T² mean KL(p_t + 1e-7 ‖ p_s)"
    paper = "Chen et al. 2020, arXiv:1912.00350; Zhang et al. 2018, arXiv:1706.00384"
    # The floor leaves T² · classes · 1e-7.
    is_zero_at_teacher = False

    def divergence(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the divergence from the floored peers."""
        del labels
        return peer_target_loss(student, teacher, self.temperature)
