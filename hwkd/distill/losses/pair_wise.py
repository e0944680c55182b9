"""Which positions of a map are alike: cosines of all pairs of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import length
from hwkd.distill.method import LossMethod, option, pair_term
from hwkd.distill.pair_method import pooled_maps

# Added to every norm by the authors' code; part of the published numbers.
_EPS = 1e-8


def pair_wise_loss(
    student: Tensor, teacher: Tensor, *, scale: float = 0.5, detach_norm: bool = True
) -> Tensor:
    """Return the mean squared difference of the cosines of all pairs of positions.

    Args:
        student: shape [batch, channels, height, width].
        teacher: same height and width, any channels; no gradient flows into it.
        scale: positions are first pooled by their maximum, over so much of height and width.
        detach_norm: no gradient flows through the norms, as in the authors' code.

    Source:
        Liu et al. 2019, arXiv:1903.04197, equation 2.
    """
    difference = _cosines(student, scale, detach_norm) - _cosines(teacher.detach(), scale, True)
    return difference.square().mean()


def _cosines(maps: Tensor, scale: float, detach_norm: bool) -> Tensor:
    kernel = [max(1, int(size * scale)) for size in maps.shape[2:]]
    rows = functional.max_pool2d(maps, kernel, kernel, ceil_mode=True).flatten(2)
    norm = length(rows, dim=1, keepdim=True) + _EPS
    units = rows / (norm.detach() if detach_norm else norm)
    return torch.einsum("bcm,bcn->bmn", units, units)


@METHODS.register("pair_wise")
@dataclass(frozen=True, kw_only=True)
class PairWise(LossMethod):
    """Pair-wise distillation (Liu et al. 2019), for maps: positions that are alike in the teacher.

    Needs feature maps larger than one position; no adapters.
    """

    scale: float = option(0.5, "share of height and width that is pooled first", above=0, high=1)
    detach_norm: bool = option(True, "no gradient through norms, as in the authors' code")

    name = "pair_wise"
    family = "maps"
    formula = "mean_b,i,j (cos(f_s,i, f_s,j) − cos(f_t,i, f_t,j))², positions i, j after pooling"
    paper = "Liu et al. 2019, arXiv:1903.04197"
    needs = frozenset({Signal.FEATURES})
    needs_positions = True
    float32_only = True

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return one term per layer pair."""
        del batch
        return {
            pair_term(self.name, index): pair_wise_loss(
                ours, theirs, scale=self.scale, detach_norm=self.detach_norm
            )
            for index, (ours, theirs) in enumerate(pooled_maps(student, teacher))
        }
