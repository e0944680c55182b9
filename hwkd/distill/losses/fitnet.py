"""FitNets hints: the student's features regress the teacher's."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Signal
from hwkd.distill.kernels import pool_to_common_size
from hwkd.distill.pair_method import AdaptedPairMethod


def hint_loss(student_maps: Tensor, teacher_maps: Tensor) -> Tensor:
    """Return the mean squared difference over every element.

    Args:
        student_maps: shape [batch, channels, height, width], after the regressor.
        teacher_maps: same batch and channels; sizes are pooled to the smaller per axis.

    Source:
        Romero et al. 2015, arXiv:1412.6550, equation 3.
    """
    student, teacher = pool_to_common_size(student_maps, teacher_maps)
    return (student - teacher).square().mean()


@METHODS.register("fitnet")
@dataclass(frozen=True, kw_only=True)
class FitnetHint(AdaptedPairMethod):
    """FitNets hint (Romero et al. 2015); needs feature maps.

    Where channel counts differ it trains a regressor: 1 x 1 convolution, batch normalisation, ReLU.
    The paper trains hints first and classes afterwards (`stop=0.3`); most public code does both at
    once.
    """

    name = "fitnet"
    family = "feature"
    formula = "mean (r(f_s) − f_t)², r = ReLU(BN(1×1 conv)) where channels differ"
    paper = "Romero et al. 2015, arXiv:1412.6550"
    needs = frozenset({Signal.FEATURES})
    adapter_norm = True
    adapter_relu = True
    usual_weight = 100.0

    def compare(self, student: Tensor, teacher: Tensor, pair: int, pairs: int) -> Tensor:
        """Return the squared difference."""
        del pair, pairs
        return hint_loss(student, teacher)
