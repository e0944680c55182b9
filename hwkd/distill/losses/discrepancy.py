"""Maximum mean discrepancy: the channels of a layer as samples of a distribution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Signal
from hwkd.distill.kernels import as_maps, pool_to_common_size, unit
from hwkd.distill.method import option
from hwkd.distill.pair_method import PairMethod


def neuron_selectivity_loss(student_maps: Tensor, teacher_maps: Tensor) -> Tensor:
    """Return the squared discrepancy under k(x, y) = (x . y)^2 of unit channel maps, biased.

    Args:
        student_maps: shape [batch, channels, height, width] or [batch, channels, time].
        teacher_maps: same batch; channels may differ, sizes are pooled to the smaller per axis.

    Returns:
        Scalar, mean over the batch; unchanged when channels or positions are permuted.

    Source:
        Huang and Wang 2017, arXiv:1707.01219, equation 5. Public code multiplies every pair of
        channels out elementwise, which takes seconds for a batch; three batched Gram products give
        the same.
    """
    ours, theirs = _unit_channels(student_maps, teacher_maps)
    return _mean_square(ours, ours) + _mean_square(theirs, theirs) - 2 * _mean_square(ours, theirs)


def gaussian_discrepancy_loss(
    student_maps: Tensor, teacher_maps: Tensor, *, bandwidth: float | None = None
) -> Tensor:
    """Return the squared discrepancy under k(x, y) = exp(-|x - y|^2 / (2 sigma^2)), biased.

    Args:
        student_maps: as in `neuron_selectivity_loss`.
        teacher_maps: as in `neuron_selectivity_loss`.
        bandwidth: sigma, > 0; None takes sigma^2 = mean squared distance of the pairs, the paper's
            rule.

    Source:
        Huang and Wang 2017, arXiv:1707.01219, section 4.1; Gretton et al. 2012.
    """
    ours, theirs = _unit_channels(student_maps, teacher_maps)
    distances = [
        _squared_distances(a, b) for a, b in ((ours, ours), (theirs, theirs), (ours, theirs))
    ]
    if bandwidth is None:
        # The width is a property of the data and carries no gradient.
        variance = distances[2].detach().mean().clamp(min=1e-6)
    else:
        variance = torch.as_tensor(bandwidth**2, dtype=ours.dtype, device=ours.device)
    within_ours, within_theirs, between = (
        torch.exp(-distance / (2 * variance)).mean() for distance in distances
    )
    return within_ours + within_theirs - 2 * between


def _unit_channels(student_maps: Tensor, teacher_maps: Tensor) -> tuple[Tensor, Tensor]:
    student, teacher = pool_to_common_size(as_maps(student_maps), as_maps(teacher_maps))
    return unit(student.flatten(2), dim=2), unit(teacher.flatten(2), dim=2)


def _mean_square(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.transpose(1, 2)).square().mean()


def _squared_distances(first: Tensor, second: Tensor) -> Tensor:
    squares = first.square().sum(2)[:, :, None] + second.square().sum(2)[:, None, :]
    return squares - 2 * first @ second.transpose(1, 2)


@METHODS.register("nst")
@dataclass(frozen=True, kw_only=True)
class NeuronSelectivity(PairMethod):
    """Neuron selectivity transfer (Huang and Wang 2017), polynomial kernel; needs feature maps."""

    name = "nst"
    family = "feature"
    formula = "mean k(t, t) + mean k(s, s) − 2 mean k(s, t), k(x, y) = (x·y)² of unit channel maps"
    paper = "Huang and Wang 2017, arXiv:1707.01219"
    needs = frozenset({Signal.FEATURES})
    needs_positions = True
    float32_only = True
    usual_weight = 50.0

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the squared discrepancy."""
        return neuron_selectivity_loss(student, teacher)


@METHODS.register("mmd")
@dataclass(frozen=True, kw_only=True)
class GaussianDiscrepancy(PairMethod):
    """Maximum mean discrepancy with a Gaussian kernel (Huang and Wang 2017); needs feature maps."""

    bandwidth: float | None = option(None, "width of the kernel; off: from the data", above=0)

    name = "mmd"
    family = "feature"
    formula = "mean k(t, t) + mean k(s, s) − 2 mean k(s, t), k = exp(−‖x − y‖² / 2σ²)"
    paper = "Huang and Wang 2017, arXiv:1707.01219"
    needs = frozenset({Signal.FEATURES})
    needs_positions = True
    float32_only = True
    usual_weight = 50.0

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the squared discrepancy."""
        return gaussian_discrepancy_loss(student, teacher, bandwidth=self.bandwidth)
