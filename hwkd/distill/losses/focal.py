"""Focal and global features: things and ground apart, where and in which channels teachers look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.adapters import describe_map_adapter, resolve_map_adapters
from hwkd.distill.kernels import at_least_float32, pool_to_common_size
from hwkd.distill.method import RunShapes, TrainedMethod, option, pair_term


@dataclass(frozen=True, slots=True, kw_only=True)
class FocalParts:
    """The parts of `focal_loss`, each a sum over channels and positions, divided by the batch."""

    foreground: Tensor
    background: Tensor
    attention: Tensor


def focal_loss(
    student: Tensor,
    teacher: Tensor,
    boxes: Sequence[Tensor],
    *,
    picture: tuple[int, int],
    temperature: float = 0.5,
) -> FocalParts:
    """Return squared differences in boxes and around them, and the difference of attention.

    The teacher's attention over positions and channels weighs the squares. A box counts by 1 / its
    cells, the larger where two overlap; the ground by 1 / its cells.

    Args:
        student: shape [batch, channels, height, width].
        teacher: same shape.
        boxes: of each picture, left, top, right and bottom in pixels, shape [boxes, 4].
        picture: height and width of the pictures, in pixels.
        temperature: of both attentions, > 0.

    Source:
        Yang et al. 2022, arXiv:2111.11837, equations 2 to 8 (without the global relation).
    """
    count = len(student)
    inside = torch.stack([_cells_of(each, student, picture) for each in boxes])
    around = (inside == 0).to(student.dtype)
    around = around / around.sum((1, 2), keepdim=True).clamp(min=1.0)
    ours, theirs = (_attention(maps, temperature) for maps in (student, teacher))
    squares = (student - teacher).square() * (theirs[0] * theirs[1])
    apart = torch.stack([(a - b).abs().sum() for a, b in zip(ours, theirs, strict=True)]).sum()
    return FocalParts(
        foreground=(squares * inside[:, None]).sum() / count,
        background=(squares * around[:, None]).sum() / count,
        attention=apart / count,
    )


def _attention(maps: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return that over positions, [batch, 1, height, width], and over channels, [batch, c, 1, 1].

    Each has a mean of 1.
    """
    height, width = maps.shape[2:]
    sizes = maps.abs()
    places = (sizes.mean(1).flatten(1) / temperature).softmax(1).view(-1, 1, height, width)
    channels = (sizes.mean((2, 3)) / temperature).softmax(1)[:, :, None, None]
    return places * (height * width), channels * maps.shape[1]


def _cells_of(boxes: Tensor, maps: Tensor, picture: tuple[int, int]) -> Tensor:
    """Return for each cell 1 / the cells of the smallest box over it, or 0, [height, width]."""
    height, width = maps.shape[2:]
    found = maps.new_zeros(height, width)
    for left, top, right, bottom in boxes.tolist():
        first = (math.floor(top / picture[0] * height), math.floor(left / picture[1] * width))
        last = (math.ceil(bottom / picture[0] * height), math.ceil(right / picture[1] * width))
        share = 1.0 / ((last[0] + 1 - first[0]) * (last[1] + 1 - first[1]))
        part = found[first[0] : last[0] + 1, first[1] : last[1] + 1]
        part.clamp_(min=share)
    return found


@METHODS.register("fgd")
@dataclass(frozen=True, kw_only=True)
class FocalFeatures(TrainedMethod):
    """Focal distillation (Yang et al. 2022) of feature maps; needs boxes around things.

    Trains a 1 x 1 convolution where channels differ. The global relation of the paper, which has
    parameters of its own, is left out. Pictures without known boxes count as ground.
    """

    temperature: float = option(0.5, "softening divisor of attention", above=0)
    foreground: float = option(1e-3, "weight of what is inside boxes", low=0)
    background: float = option(5e-4, "weight of what is around them", low=0)
    attention: float = option(1e-3, "weight of the attention", low=0)

    name = "fgd"
    family = "feature"
    formula = "α Σ_box A (f_s − f_t)² + β Σ_ground A (f_s − f_t)² + γ |A_s − A_t|"
    paper = "Yang et al. 2022, arXiv:2111.11837"
    needs = frozenset({Signal.FEATURES})
    of_things = True
    needs_positions = True
    float32_only = True

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name the adapter."""
        return describe_map_adapter(channels, teacher_channels)

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with one adapter per pair."""
        adapters = resolve_map_adapters(shapes.student.features, shapes.teacher.features)
        return _Focal(self, adapters)


class _Focal(nn.Module):
    def __init__(self, method: FocalFeatures, adapters: nn.ModuleList) -> None:
        super().__init__()
        self.method = method
        self.adapters = adapters

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        boxes = [rows[rows[:, 0] >= 0, 1:] for rows in batch.labels]
        height, width = batch.inputs.shape[-2:]
        terms = {}
        for index, adapter in enumerate(self.adapters):
            maps = adapter(student.features[index]), teacher.features[index].detach()
            parts = focal_loss(
                *pool_to_common_size(*at_least_float32(*maps)),
                boxes,
                picture=(height, width),
                temperature=self.method.temperature,
            )
            terms[pair_term(self.method.name, index)] = (
                self.method.foreground * parts.foreground
                + self.method.background * parts.background
                + self.method.attention * parts.attention
            )
        return terms
