"""Methods on pre-activations: which neurons fire, and by how much they miss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.adapters import describe_map_adapter, resolve_map_adapters
from hwkd.distill.kernels import as_maps, at_least_float32, pool_to_common_size
from hwkd.distill.method import RunShapes, TrainedMethod, option, pair_term
from hwkd.distill.pair_method import AdaptedPairMethod


def activation_boundary_loss(student: Tensor, teacher: Tensor, *, margin: float = 1.0) -> Tensor:
    """Return the squared hinge of the student's sign against the teacher's, summed, / batch.

    (s + m)^2 where the teacher is off and s > -m; (s - m)^2 where it is on and s <= m; else 0.

    Args:
        student: pre-activations, shape [batch, channels, height, width].
        teacher: same shape.
        margin: m, > 0.

    Source:
        Heo et al. 2019, arXiv:1811.03233, equation 6. KD-Zoo takes the mean instead of sum / batch.
    """
    is_on = teacher > 0
    hinge = torch.where(is_on, margin - student, student + margin).clamp(min=0.0)
    return hinge.square().sum() / len(student)


def sparsity_pattern_loss(student: Tensor, teacher: Tensor, *, softness: float = 0.5) -> Tensor:
    """Return the cross-entropy of sigmoid(student / softness) against [teacher > 0], in nats.

    Args:
        student: pre-activations, shape [batch, ...].
        teacher: same shape.
        softness: how far from 0 a pre-activation is undecided, > 0.

    Returns:
        Scalar, mean over every element.

    Source:
        Own definition: matches the mask of active neurons only; the closest published loss is
        `activation_boundary_loss`, which also asks for a margin.
    """
    is_on = (teacher > 0).to(student.dtype)
    return functional.binary_cross_entropy_with_logits(student / softness, is_on)


def partial_l2_loss(student: Tensor, teacher: Tensor, margin: Tensor) -> Tensor:
    """Return the summed squared difference to max(teacher, margin), divided by batch.

    Nothing is asked where the teacher is off and the student is below it already.

    Args:
        student: pre-activations, shape [batch, channels, height, width].
        teacher: same shape.
        margin: shape [1, channels, 1, 1], <= 0: the mean of the teacher's negative values.

    Source:
        Heo et al. 2019, arXiv:1904.01866, equations 1 and 3.
    """
    target = torch.maximum(teacher, margin)
    counts = (student > target) | (target > 0)
    return ((student - target).square() * counts).sum() / len(student)


@METHODS.register("ab")
@dataclass(frozen=True, kw_only=True)
class ActivationBoundary(AdaptedPairMethod):
    """Activation boundaries (Heo et al. 2019); needs pre-activations.

    Trains a 1 x 1 connector with batch normalisation where channels differ. Layer i of n weighs
    2^(i - n + 1) * 3 / 1000, as in the authors' code. Made for an initial stage (`stop=0.2`).
    """

    margin: float = option(1.0, "how far past zero the student must be", above=0)

    name = "ab"
    family = "feature"
    formula = "0.003 Σ_i 2^(i−n+1) / B Σ hinge², hinge past ±margin on the teacher's side of 0"
    paper = "Heo et al. 2019, arXiv:1811.03233"
    needs = frozenset({Signal.PREACTIVATIONS})
    signal = Signal.PREACTIVATIONS
    adapter_norm = True
    float32_only = True
    # A teacher inside its own margin is pushed out of it.
    is_zero_at_teacher = False

    def compare(self, student: Tensor, teacher: Tensor, pair: int, pairs: int) -> Tensor:
        """Return the weighted hinge of one layer."""
        loss = activation_boundary_loss(student, teacher, margin=self.margin)
        return boundary_layer_weight(pair, pairs) * loss


def boundary_layer_weight(layer: int, layers: int) -> float:
    """Return 2^(layer - layers + 1) * 3 / 1000; `layer` counts from 0."""
    return 2.0 ** (layer - layers + 1) * 3 / 1000


@METHODS.register("sparsity")
@dataclass(frozen=True, kw_only=True)
class SparsityPattern(AdaptedPairMethod):
    """Sparsity patterns: which neurons are active, not how much; needs pre-activations."""

    softness: float = option(0.5, "how far from 0 a pre-activation is undecided", above=0)

    name = "sparsity"
    family = "feature"
    formula = "BCE(sigmoid(s / softness), [t > 0])"
    paper = "own definition, after Heo et al. 2019, arXiv:1811.03233"
    needs = frozenset({Signal.PREACTIVATIONS})
    signal = Signal.PREACTIVATIONS
    adapter_norm = True
    float32_only = True
    # The cross-entropy of a soft gate against a hard mask is positive.
    is_zero_at_teacher = False

    def compare(self, student: Tensor, teacher: Tensor, pair: int, pairs: int) -> Tensor:
        """Return the cross-entropy of one layer."""
        del pair, pairs
        return sparsity_pattern_loss(student, teacher, softness=self.softness)


@METHODS.register("ofd")
@dataclass(frozen=True, kw_only=True)
class OverhaulFeatures(TrainedMethod):
    """Overhaul of feature distillation (Heo et al. 2019); needs pre-activations.

    The margin is the running mean of the teacher's negative pre-activations per channel; the paper
    computes it from the teacher's batch-normalisation parameters, which a foreign teacher may not
    have.
    """

    name = "ofd"
    family = "feature"
    formula = "1/B Σ [s > t⁺ or t⁺ > 0] (s − t⁺)², t⁺ = max(t, margin)"
    paper = "Heo et al. 2019, arXiv:1904.01866"
    needs = frozenset({Signal.PREACTIVATIONS})
    float32_only = True
    # Below the margin a teacher asks for the margin, also of itself.
    is_zero_at_teacher = False
    usual_weight = 0.001

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name the adapter."""
        return describe_map_adapter(channels, teacher_channels)

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with adapters and margins."""
        return _Overhaul(shapes)


class _Overhaul(nn.Module):
    _momentum = 0.1

    def __init__(self, shapes: RunShapes) -> None:
        super().__init__()
        theirs = shapes.teacher.preactivations
        self.adapters = resolve_map_adapters(shapes.student.preactivations, theirs, norm=True)
        self.margins = nn.ParameterList(
            nn.Parameter(torch.zeros(1, shape[0], 1, 1), requires_grad=False) for shape in theirs
        )

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        terms = {}
        for index, adapter in enumerate(self.adapters):
            ours, theirs = at_least_float32(
                as_maps(adapter(student.preactivations[index])),
                as_maps(teacher.preactivations[index].detach()),
            )
            ours, theirs = pool_to_common_size(ours, theirs)
            margin = self._update_margin(index, theirs).to(ours.dtype)
            terms[pair_term("ofd", index)] = partial_l2_loss(ours, theirs, margin)
        return terms

    @torch.no_grad()
    def _update_margin(self, index: int, teacher: Tensor) -> Tensor:
        negative = teacher.clamp(max=0.0)
        count = (teacher < 0).sum((0, 2, 3), keepdim=True).clamp(min=1)
        seen = negative.sum((0, 2, 3), keepdim=True) / count
        margin: Tensor = self.margins[index].data
        # The first batch replaces the zeros that a fresh buffer holds.
        share = self._momentum if bool((margin != 0).any()) else 1.0
        margin.lerp_(seen.to(margin.dtype), share)
        return margin
