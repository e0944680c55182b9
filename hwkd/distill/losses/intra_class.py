"""How much the positions of one class differ from what is typical of it in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.head import CLASS_MAPS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import unit
from hwkd.distill.method import LossMethod, pair_term
from hwkd.distill.pair_method import pooled_maps

# Added to the count of positions by the authors' code; part of the published numbers.
_EPS = 1e-6


def intra_class_loss(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Return the mean squared difference of the cosines of positions with their class's mean.

    Positions without a class add nothing.

    Args:
        student: shape [batch, channels, height, width].
        teacher: same height and width, any channels; no gradient flows into it.
        labels: class numbers, shape [batch, any height, any width], or one for a whole picture,
            [batch]; -1 is no class.

    Source:
        Wang et al. 2020, Intra-class Feature Variation Distillation (ECCV); the authors' code.
    """
    whole = labels.reshape(len(labels), 1, *(labels.shape[1:] or (1, 1)))
    nearest = functional.interpolate(whole.to(student.dtype), student.shape[2:], mode="nearest")
    numbers = nearest[:, 0].long()
    one_hot = functional.one_hot(numbers.clamp(min=0)).to(student.dtype)
    belongs = (one_hot * (numbers >= 0)[..., None]).flatten(1, 2)  # [batch, positions, classes]
    difference = _cosines(student, belongs) - _cosines(teacher.detach(), belongs)
    return difference.square().mean()


def _cosines(maps: Tensor, belongs: Tensor) -> Tensor:
    """Return the cosine of each position with the mean of its class; 0 where it has none."""
    rows = maps.flatten(2).transpose(1, 2)  # [batch, positions, channels]
    sums = torch.einsum("bpk,bpc->bkc", belongs, rows)
    means = sums / (belongs.sum(1)[..., None] + _EPS)
    own = torch.einsum("bpk,bkc->bpc", belongs, means)
    return (unit(rows, dim=-1) * unit(own, dim=-1)).sum(-1)


@METHODS.register("ifv")
@dataclass(frozen=True, kw_only=True)
class IntraClassVariation(LossMethod):
    """Intra-class feature variation (Wang et al. 2020), for maps of classes; reads the masks.

    Needs feature maps larger than one position; no adapters.
    """

    name = "ifv"
    family = "maps"
    formula = "mean_b,i (cos(f_s,i, m_s) − cos(f_t,i, m_t))², m the mean of the class of i"
    paper = "Wang et al. 2020, Intra-class Feature Variation Distillation (ECCV)"
    needs = frozenset({Signal.FEATURES})
    needs_labels = True
    needs_positions = True
    float32_only = True
    of_kind = CLASS_MAPS
    usual_weight = 10.0

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return one term per layer pair."""
        return {
            pair_term(self.name, index): intra_class_loss(ours, theirs, batch.labels)
            for index, (ours, theirs) in enumerate(pooled_maps(student, teacher))
        }
