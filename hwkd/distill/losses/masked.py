"""Masked generation: from half of its map a student makes the whole map of its teacher."""

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


def masked_generation_loss(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor,
    first: tuple[Tensor, Tensor],
    second: tuple[Tensor, Tensor],
) -> Tensor:
    """Return the squared error of what two convolutions make of a masked map, a sum per sample.

    Args:
        student: shape [batch, channels, height, width].
        teacher: same shape.
        mask: 1 keeps a position and 0 hides it, shape [batch, 1, height, width].
        first: weight and bias of a 3x3 convolution, which a ReLU follows.
        second: of the one after it.

    Returns:
        Mean over the batch of the sum over channels and positions.

    Source:
        Yang et al. 2022, arXiv:2205.01529, equation 4.
    """
    hidden = functional.conv2d(student * mask, first[0], first[1], padding=1).relu()
    made = functional.conv2d(hidden, second[0], second[1], padding=1)
    return (made - teacher).square().sum() / len(student)


@METHODS.register("mgd")
@dataclass(frozen=True, kw_only=True)
class MaskedGeneration(TrainedMethod):
    """Masked generative distillation (Yang et al. 2022); needs feature maps.

    Trains two 3 x 3 convolutions per pair, and a 1 x 1 one where channels differ. Each step hides
    other positions.
    """

    hidden: float = option(0.65, "share of the positions that are hidden", low=0, high=0.95)
    scale: float = option(2e-5, "factor of the squared error, which is a sum", above=0)

    name = "mgd"
    family = "feature"
    formula = "α / B Σ (G(mask · f_s) − f_t)², G two 3x3 convolutions"
    paper = "Yang et al. 2022, arXiv:2205.01529"
    needs = frozenset({Signal.FEATURES})
    float32_only = True
    # The convolutions start at random.
    is_zero_at_teacher = False

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name what makes the teacher's map."""
        adapter = describe_map_adapter(channels, teacher_channels)
        return " + ".join(part for part in (adapter, "mask, two 3x3 convs") if part)

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with its convolutions per pair."""
        return _Masked(self, shapes)


class _Generation(nn.Module):
    """Makes a map of the teacher from a masked one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        first, second = self.first, self.second
        assert first.bias is not None
        assert second.bias is not None
        ours, theirs, kept = (maps.to(first.weight.dtype) for maps in (student, teacher, mask))
        return masked_generation_loss(
            ours, theirs, kept, (first.weight, first.bias), (second.weight, second.bias)
        )


class _Masked(nn.Module):
    def __init__(self, method: MaskedGeneration, shapes: RunShapes) -> None:
        super().__init__()
        self.method = method
        self.adapters = resolve_map_adapters(shapes.student.features, shapes.teacher.features)
        self.made = nn.ModuleList(_Generation(shape[0]) for shape in shapes.teacher.features)
        self.seed = shapes.seed
        # Masks depend on the step, which a checkpoint must know.
        self.steps: Tensor
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.steps))
        self.steps += 1
        terms = {}
        for index, made in enumerate(self.made):
            ours, theirs = pool_to_common_size(
                *at_least_float32(
                    as_maps(self.adapters[index](student.features[index])),
                    as_maps(teacher.features[index].detach()),
                )
            )
            drawn = torch.rand(len(ours), 1, *ours.shape[2:], generator=generator)
            mask = (drawn >= self.method.hidden).to(ours.device)
            terms[pair_term("mgd", index)] = self.method.scale * made(ours, theirs, mask)
        return terms
