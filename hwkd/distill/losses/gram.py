"""FSP and its relatives: Gram matrices of channels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.adapters import resolve_map_adapters
from hwkd.distill.kernels import as_maps, at_least_float32, pool_to_common_size, unit
from hwkd.distill.method import RunShapes, TrainedMethod, pair_term
from hwkd.distill.pair_method import AdaptedPairMethod

__all__ = ["ChannelCorrelation", "Fsp", "channel_correlation_loss", "flow_loss", "flow_matrix"]


def flow_matrix(first: Tensor, second: Tensor) -> Tensor:
    """Return the inner products of channels of two layers, shape [batch, c_first, c_second].

    Args:
        first: shape [batch, c_first, height, width].
        second: shape [batch, c_second, height, width]; sizes are pooled to the smaller per axis;
        the
            sum over positions is divided by their number.
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
        teacher_layers: two maps.

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
class Fsp(TrainedMethod):
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

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse fewer than two layer pairs."""
        pairs = len(shapes.student.features)
        if pairs < 2:
            return f"it compares consecutive layers and got {pairs} layer pair; give 2 or more"
        return None

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with one adapter per layer."""
        return _Flows(
            self.name, resolve_map_adapters(shapes.student.features, shapes.teacher.features)
        )


class _Flows(nn.Module):
    def __init__(self, name: str, adapters: nn.ModuleList) -> None:
        super().__init__()
        self.name = name
        self.adapters = adapters

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        adapted = (adapter(f) for adapter, f in zip(self.adapters, student.features, strict=True))
        ours = at_least_float32(*adapted)
        theirs = at_least_float32(*(features.detach() for features in teacher.features))
        return {
            pair_term(self.name, i): flow_loss((ours[i], ours[i + 1]), (theirs[i], theirs[i + 1]))
            for i in range(len(ours) - 1)
        }


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
    float32_only = True
    usual_weight = 2.5

    def compare(self, student: Tensor, teacher: Tensor, pair: int, pairs: int) -> Tensor:
        """Return the squared difference of cosines."""
        del pair, pairs
        return channel_correlation_loss(student, teacher)
