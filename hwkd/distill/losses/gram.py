"""FSP and its relatives: Gram matrices of channels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Signal
from hwkd.distill.kernels import as_maps, pool_to_common_size, unit
from hwkd.distill.pair_method import AdaptedPairMethod, ConsecutivePairMethod


def flow_matrix(first: Tensor, second: Tensor) -> Tensor:
    """Return the inner products of channels of two layers, shape [batch, c_first, c_second].

    Args:
        first: shape [batch, c_first, height, width].
        second: shape [batch, c_second, height, width]; sizes are pooled to the smaller per axis;
            the sum over positions is divided by their number.
    """
    first, second = pool_to_common_size(as_maps(first), as_maps(second))
    ours, theirs = first.flatten(2), second.flatten(2)
    return ours @ theirs.transpose(1, 2) / ours.shape[2]


def flow_loss(
    student_layers: tuple[Tensor, Tensor], teacher_layers: tuple[Tensor, Tensor]
) -> Tensor:
    """Return the mean squared difference of flow matrices of two consecutive layers.

    Args:
        student_layers: two maps with the teacher's channel counts.

    Source:
        Yim et al. 2017, CVPR, "A Gift from Knowledge Distillation", equations 1 and 2. torchdistill
        max-pools and sums un-squared column norms, about 300 times this value.
    """
    return (flow_matrix(*student_layers) - flow_matrix(*teacher_layers)).square().mean()


def channel_correlation_loss(student_maps: Tensor, teacher_maps: Tensor) -> Tensor:
    """Return the mean squared difference of cosines between the channels of one layer.

    Args:
        student_maps: shape [batch, channels, height, width].
        teacher_maps: same batch and channels, any size.

    Source:
        Liu et al. 2021, ICCV, "Exploring Inter-Channel Correlation for Diversity-Preserved
        Knowledge Distillation", equation 3.
    """
    ours, theirs = (unit(as_maps(f).flatten(2), dim=2) for f in (student_maps, teacher_maps))
    difference = ours @ ours.transpose(1, 2) - theirs @ theirs.transpose(1, 2)
    return difference.square().mean()


@METHODS.register("fsp")
@dataclass(frozen=True, kw_only=True)
class Fsp(ConsecutivePairMethod):
    """Flow of solution procedure (Yim et al. 2017): Gram matrices between consecutive layers.

    Needs two or more layer pairs. Where channel counts differ a 1 x 1 convolution is trained.
    """

    name = "fsp"
    family = "feature"
    formula = "Σ_i mean (F_i F_{i+1}ᵀ / HW of the student − of the teacher)²"
    paper = "Yim et al. 2017, CVPR"
    needs = frozenset({Signal.FEATURES})
    float32_only = True
    usual_weight = 50.0

    def compare(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
        """Return the squared difference of flow matrices."""
        return flow_loss(student, teacher)


@METHODS.register("ickd")
@dataclass(frozen=True, kw_only=True)
class ChannelCorrelation(AdaptedPairMethod):
    """Inter-channel correlation (Liu et al. 2021): Gram matrix of one layer's channels."""

    name = "ickd"
    family = "feature"
    formula = "mean (cos of channels of the student − of the teacher)²"
    paper = "Liu et al. 2021, ICCV"
    needs = frozenset({Signal.FEATURES})
    needs_positions = True
    # Cosines of channels are over positions, of which both sides may have their own number.
    pools = False
    float32_only = True
    usual_weight = 2.5

    def compare(self, student: Tensor, teacher: Tensor, pair: int, pairs: int) -> Tensor:
        """Return the squared difference of cosines."""
        del pair, pairs
        return channel_correlation_loss(student, teacher)
