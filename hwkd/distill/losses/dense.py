"""Methods for dense outputs: spatial distributions and correlations per channel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Signal
from hwkd.distill.kernels import kl_from_logits
from hwkd.distill.method import option
from hwkd.distill.pair_method import AdaptedPairMethod

# Added to the deviation by the authors' code; part of the published numbers.
_EPS = 1e-6


def channel_wise_loss(student: Tensor, teacher: Tensor, *, temperature: float = 4.0) -> Tensor:
    """Return T^2 * mean over batch and channels of the KL between spatial softmaxes.

    Args:
        student: shape [batch, channels, height, width].
        teacher: same shape.
        temperature: softening divisor, > 0.

    Returns:
        Scalar in nats.

    Source:
        Shu et al. 2021, arXiv:2011.13256, equation 5.
    """
    rows = kl_from_logits(student.flatten(2) / temperature, teacher.flatten(2) / temperature)
    return rows.mean() * temperature**2


def pearson_feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return half the mean squared difference of maps standardised per channel.

    Mean and unbiased deviation are over batch and positions.

    Args:
        student: shape [batch, channels, height, width].
        teacher: same shape.

    Source:
        Cao et al. 2022, arXiv:2207.02039, equation 4.
    """
    return (_standardise(student) - _standardise(teacher)).square().mean() / 2


def _standardise(maps: Tensor) -> Tensor:
    centred = maps - maps.mean((0, 2, 3), keepdim=True)
    count = maps.numel() // maps.shape[1]
    variance = centred.square().sum((0, 2, 3), keepdim=True) / max(1, count - 1)
    is_flat = variance <= 0
    return centred / (variance.masked_fill(is_flat, 1.0).sqrt() + _EPS)


@METHODS.register("cwd")
@dataclass(frozen=True, kw_only=True)
class ChannelWise(AdaptedPairMethod):
    """Channel-wise distillation (Shu et al. 2021), for segmentation and detection.

    Needs feature maps larger than one position; a 1 x 1 convolution where channels differ.
    """

    temperature: float = option(4.0, "softening divisor of both maps", above=0)

    name = "cwd"
    family = "feature"
    formula = "T² / (B C) Σ KL(softmax_HW(f_t / T) ‖ softmax_HW(f_s / T))"
    paper = "Shu et al. 2021, arXiv:2011.13256"
    needs = frozenset({Signal.FEATURES})
    needs_positions = True
    float32_only = True

    def compare(self, student: Tensor, teacher: Tensor, pair: int, pairs: int) -> Tensor:
        """Return the divergence of one layer."""
        del pair, pairs
        return channel_wise_loss(student, teacher, temperature=self.temperature)


@METHODS.register("pkd")
@dataclass(frozen=True, kw_only=True)
class PearsonFeatures(AdaptedPairMethod):
    """Pearson features (Cao et al. 2022), for detectors; needs feature maps."""

    name = "pkd"
    family = "feature"
    formula = "½ mean (f̂_s − f̂_t)², f̂ standardised per channel over batch and positions"
    paper = "Cao et al. 2022, arXiv:2207.02039"
    needs = frozenset({Signal.FEATURES})
    float32_only = True
    min_batch = 2

    def compare(self, student: Tensor, teacher: Tensor, pair: int, pairs: int) -> Tensor:
        """Return the squared difference of one layer."""
        del pair, pairs
        return pearson_feature_loss(student, teacher)
