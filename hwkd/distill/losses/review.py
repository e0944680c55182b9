"""Knowledge review: each student stage, mixed with the deeper ones, follows a teacher stage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import as_maps, at_least_float32, pool_to_common_size
from hwkd.distill.method import RunShapes, TrainedMethod, option, pair_term


def pyramid_loss(
    student: Tensor, teacher: Tensor, *, levels: tuple[int, ...] = (4, 2, 1)
) -> Tensor:
    """Return squared differences at full size and pooled to each level, weighed 1, 1/2, 1/4, ...

    Args:
        student: shape [batch, channels, height, width].
        teacher: same shape.
        levels: sides of the pooled maps; those not below the height (of a map of height 1: the
            width) are left out, and no axis is pooled to more than it has.

    Returns:
        Scalar, divided by the sum of the weights used.

    Source:
        Chen et al. 2021, arXiv:2104.09044, section 3.4 (hierarchical context loss).
    """
    height, width = student.shape[2:]
    side = height if height > 1 else width
    loss = (student - teacher).square().mean()
    weight, total = 1.0, 1.0
    for level in levels:
        if level >= side:
            continue
        size = (min(level, height), min(level, width))
        pooled = functional.adaptive_avg_pool2d(student - teacher, size)
        weight /= 2
        loss = loss + weight * pooled.square().mean()
        total += weight
    return loss / total


@METHODS.register("reviewkd")
@dataclass(frozen=True, kw_only=True)
class KnowledgeReview(TrainedMethod):
    """Knowledge review (Chen et al. 2021); needs layer pairs from the input on.

    Trains, per pair, a 1 x 1 convolution, an attention gate that mixes in the deeper stage and a 3
    x 3 convolution to the teacher's channels, each with batch normalisation.
    """

    width: int = option(64, "channels of the mixed maps, at most the teacher's widest", low=1)

    name = "reviewkd"
    family = "feature"
    formula = "Σ pyramid MSE(fusion(f_s,i, deeper), f_t,i), levels 4, 2, 1 at weights 1/2, 1/4, 1/8"
    paper = "Chen et al. 2021, arXiv:2104.09044"
    needs = frozenset({Signal.FEATURES})
    float32_only = True
    # Fusions start at random.
    is_zero_at_teacher = False

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name the fusion with the deeper stages."""
        return f"fusion {channels}→{teacher_channels}"

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with one fusion per pair."""
        return _Review(shapes, self.width)


class _Review(nn.Module):
    def __init__(self, shapes: RunShapes, width: int) -> None:
        super().__init__()
        theirs = [shape[0] for shape in shapes.teacher.features]
        width = min(width, max(theirs, default=width))
        last = len(theirs) - 1
        self.fusions = nn.ModuleList(
            _Fusion(ours[0], width, channels, mixes=index < last)
            for index, (ours, channels) in enumerate(
                zip(shapes.student.features, theirs, strict=True)
            )
        )

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        terms = {}
        deeper: Tensor | None = None
        for index in reversed(range(len(self.fusions))):
            ours, theirs = at_least_float32(
                as_maps(student.features[index]), as_maps(teacher.features[index].detach())
            )
            output, deeper = self.fusions[index](ours, deeper)
            terms[pair_term("reviewkd", index)] = pyramid_loss(*pool_to_common_size(output, theirs))
        return terms


class _Fusion(nn.Module):
    """Mixes a stage with the deeper result by a gate of two maps."""

    def __init__(self, in_channels: int, width: int, out_channels: int, *, mixes: bool) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            nn.Conv2d(in_channels, width, 1, bias=False), nn.BatchNorm2d(width)
        )
        self.gate = nn.Conv2d(2 * width, 2, 1) if mixes else None
        self.expand = nn.Sequential(
            nn.Conv2d(width, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels)
        )

    def forward(self, maps: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        mixed: Tensor = self.reduce(maps)
        if self.gate is not None and deeper is not None:
            resized = functional.interpolate(deeper, mixed.shape[2:], mode="nearest")
            gates = self.gate(torch.cat([mixed, resized], 1)).sigmoid()
            mixed = mixed * gates[:, :1] + resized * gates[:, 1:]
        return self.expand(mixed), mixed
