"""Soft targets at each position of a map of classes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.head import CLASS_MAPS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import as_maps, at_least_float32
from hwkd.distill.losses.of_classes import SOFT_FORMS
from hwkd.distill.method import LossMethod, both_logits, option


def pixel_wise_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    temperature: float = 1.0,
    form: str = "kl",
    batch: str = "mean",
) -> Tensor:
    """Return T^2 * mean over pictures and positions of the divergence of the student's classes.

    Args:
        student: logits, shape [batch, classes, height, width].
        teacher: same shape; no gradient flows into it.
        temperature: softening divisor, > 0.
        form: "kl", or "cross_entropy", which is larger by the teacher's entropy.
        batch: "mean", or "sum" over pictures.

    Returns:
        Scalar in nats.

    Source:
        Liu et al. 2019, arXiv:1903.04197, equation 1. The authors' code has the cross-entropy and
        sums over the batch.
    """
    ours, theirs = at_least_float32(student, teacher.detach())
    last = (maps.movedim(1, -1) for maps in (ours, theirs))
    total = SOFT_FORMS[form](*last, temperature=temperature).sum()
    positions = ours[0, 0].numel()
    return total / (positions * len(ours) if batch == "mean" else positions)


@METHODS.register("pixel_wise")
@dataclass(frozen=True, kw_only=True)
class PixelWise(LossMethod):
    """Pixel-wise distillation (Liu et al. 2019): soft targets at each position of class maps."""

    temperature: float = option(1.0, "softening divisor of both maps", above=0)
    form: str = option("kl", "what is compared", choices=tuple(SOFT_FORMS))
    batch: str = option("mean", "over the pictures of a batch", choices=("mean", "sum"))

    name = "pixel_wise"
    family = "maps"
    formula = "T² · mean_b,i Σ_c p_t (log p_t − log p_s), p = softmax_c(z / T) at position i"
    paper = "Liu et al. 2019, arXiv:1903.04197"
    needs = frozenset({Signal.LOGITS})
    of_kind = CLASS_MAPS

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the divergence under the method's name."""
        del batch
        ours, theirs = (as_maps(logits) for logits in both_logits(student, teacher))
        loss = pixel_wise_loss(
            ours, theirs, temperature=self.temperature, form=self.form, batch=self.batch
        )
        return {self.name: loss}
