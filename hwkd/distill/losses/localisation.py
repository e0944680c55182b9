"""Localisation distillation: how surely a teacher knows where each edge of a box is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.distill.kernels import kl_from_logits
from hwkd.distill.method import option
from hwkd.distill.thing_method import ThingMaps, ThingMethod


def localisation_loss(
    student: Tensor, teacher: Tensor, weights: Tensor, *, temperature: float = 10.0
) -> Tensor:
    """Return the divergence of where edges are, summed over positives, a mean of the four edges.

    Args:
        student: logits over distances, shape [positives, 4, bins].
        teacher: same shape.
        weights: of each positive, shape [positives].
        temperature: softening divisor, > 0.

    Returns:
        Scalar: T^2 / (4 bins) * sum of weight * KL.

    Source:
        Zheng et al. 2022, arXiv:2102.12252, equation 5; the mean over bins is the public code's.
    """
    bins = student.shape[-1]
    apart = kl_from_logits(student / temperature, teacher / temperature) / bins
    return (apart * weights[:, None]).sum() / 4 * temperature**2


def certainty(logits: Tensor) -> Tensor:
    """Return the largest class probability of positions, [positives, classes] -> [positives]."""
    return logits.detach().sigmoid().amax(1)


@METHODS.register("ld")
@dataclass(frozen=True, kw_only=True)
class Localisation(ThingMethod):
    """Localisation distillation (Zheng et al. 2022); needs outputs that are boxes.

    Our heads say one distance for each edge and no distribution: here it is a bell around the
    distance, over whole cells. Positives count as much as the student is sure of them, and their
    sum is divided by the boxes of the batch.
    """

    temperature: float = option(10.0, "softening divisor of both distributions", above=0)
    spread: float = option(0.5, "deviation of the bell around a distance, in cells", above=0)

    name = "ld"
    formula = "T² / (4 K) Σ max p_s · KL(softmax(e_t / T) ‖ softmax(e_s / T)), e = −(k − d)² / 2σ²"
    paper = "Zheng et al. 2022, arXiv:2102.12252"
    needs_edges = True

    def compare(self, maps: ThingMaps) -> Tensor:
        """Return the divergence at the cells of boxes."""
        bins = max(maps.student.shape[2:]) + 1
        places = torch.arange(bins, device=maps.student.device, dtype=maps.student.dtype)
        ours, theirs = (
            -(maps.at_owned(edges)[..., None] - places).square() / (2 * self.spread**2)
            for edges in (maps.student_edges, maps.teacher_edges)
        )
        weights = certainty(maps.at_owned(maps.student))
        total = localisation_loss(ours, theirs, weights, temperature=self.temperature)
        return total / maps.boxes
