"""Crossing heads: what the teacher's own last layer makes of the student's features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.errors import ConfigError
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.adapters import MapAdapter
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.method import RunShapes, TrainedMethod, option
from hwkd.distill.thing_method import ThingMaps

# Added to the deviation by the public code.
_EPS = 1e-6
# How far outputs may be from what the last convolution gives, in their deviations: our own teacher
# answers with the mean of a picture and its mirror image.
_SAME = 0.7


def quality_focal_loss(
    student: Tensor, teacher: Tensor, weights: Tensor, *, beta: float = 1.0, factor: float = 1.0
) -> Tensor:
    """Return |p - q|^beta times the binary cross-entropy of p with q, summed and divided.

    Args:
        student: logits of p, shape [positions, classes].
        teacher: logits of q, same shape.
        weights: of each position, shape [positions].
        beta: power of the difference, through which gradient flows as in the public code.
        factor: divisor of the sum, > 0.

    Source:
        Wang et al. 2023, arXiv:2306.11369, section 3.3; Li et al. 2020, arXiv:2006.04388.
    """
    wanted = teacher.sigmoid()
    lost = functional.binary_cross_entropy_with_logits(student, wanted, reduction="none")
    off = (student.sigmoid() - wanted).abs() ** beta
    return (off * lost * weights[:, None]).sum() / factor


def aligned(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the student's maps with the teacher's mean and deviation of each channel.

    Both are over batch and positions, and unbiased.

    Source:
        Wang et al. 2023, public code of arXiv:2306.11369.
    """

    def of(maps: Tensor) -> tuple[Tensor, Tensor]:
        flat = maps.transpose(0, 1).flatten(1)
        return flat.mean(1).view(1, -1, 1, 1), flat.std(1).view(1, -1, 1, 1)

    (mean, deviation), (their_mean, their_deviation) = of(student), of(teacher)
    return (student - mean) / (deviation + _EPS) * their_deviation + their_mean


@METHODS.register("crosskd")
@dataclass(frozen=True, kw_only=True)
class CrossHead(TrainedMethod):
    """Cross-head distillation (Wang et al. 2023); needs outputs about things.

    The student's last map, brought to the teacher's channels by a 1 x 1 convolution and to its mean
    and deviation, goes through the teacher's last convolution, which stays as it is. Edges are
    compared at the cells of boxes.
    """

    beta: float = option(1.0, "power of the difference of probabilities", low=0)
    regression: float = option(1.0, "weight of the edges, beside classes at 1", low=0)

    name = "crosskd"
    family = "response"
    formula = (
        "Σ |p − q|^β BCE(p, q) / boxes + ν mean |e − e_t|, p and e by the teacher's last layer"
    )
    paper = "Wang et al. 2023, arXiv:2306.11369"
    needs = frozenset({Signal.FEATURES, Signal.WEIGHTS, Signal.LOGITS})
    pairs_layers = False
    of_things = True
    float32_only = True
    min_batch = 2
    # What aligns the student's map starts at random.
    is_zero_at_teacher = False

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse a teacher whose outputs are no convolution of its last map."""
        maps, outputs = shapes.teacher.features[-1], shapes.teacher.logits or ()
        weight = shapes.teacher.weights[-1]
        if len(weight) != 4 or weight[:2] != (outputs[0], maps[0]) or maps[1:] != outputs[1:]:
            return (
                f"the teacher's last map {maps} does not become its outputs {outputs} by its last "
                f"weights {weight}; give a teacher that ends in a convolution, or use bounded"
            )
        if shapes.student.features[-1][1:] != maps[1:]:
            return (
                f"the student's last map is {shapes.student.features[-1]}, the teacher's {maps}; "
                "give a teacher of equal cells, or use bounded"
            )
        return None

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with its adapter."""
        return _Crossed(self, shapes)


class _Crossed(nn.Module):
    def __init__(self, method: CrossHead, shapes: RunShapes) -> None:
        super().__init__()
        self.method = method
        self.edges = shapes.edges or 0
        self.adapter = MapAdapter(shapes.student.features[-1][0], shapes.teacher.features[-1][0])

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        theirs, weight, outputs = at_least_float32(
            teacher.features[-1].detach(), teacher.weights[-1].detach(),
            teacher.need(Signal.LOGITS).detach(),
        )  # fmt: skip
        ours = aligned(self.adapter(student.features[-1]).to(theirs.dtype), theirs)
        crossed = _through(ours, weight) + _bias(theirs, weight, outputs)
        maps = ThingMaps.of(crossed, outputs, batch.labels, edges=self.edges)
        rows, wanted = (
            logits.movedim(1, -1).flatten(0, 2) for logits in (maps.student, maps.teacher)
        )
        everywhere = rows.new_ones(len(rows))
        lost = quality_focal_loss(
            rows, wanted, everywhere, beta=self.method.beta, factor=float(maps.boxes)
        )
        if self.edges:
            apart = maps.at_owned(maps.student_edges - maps.teacher_edges).abs()
            lost = lost + self.method.regression * apart.sum() / max(1, apart.numel())
        return {"crosskd": lost}


def _through(maps: Tensor, weight: Tensor) -> Tensor:
    return functional.conv2d(maps, weight, padding=weight.shape[-1] // 2)


def _bias(maps: Tensor, weight: Tensor, outputs: Tensor) -> Tensor:
    """Return what the last convolution adds, [1, outputs, 1, 1]: weights are all that is tapped."""
    rest = (outputs - _through(maps, weight)).transpose(0, 1).flatten(1)
    found = rest.mean(1, keepdim=True)
    spread = (outputs - outputs.mean((0, 2, 3), keepdim=True)).square().mean().sqrt()
    if (rest - found).square().mean().sqrt() > _SAME * spread:
        raise ConfigError(
            "method crosskd: the teacher's outputs are not what its last convolution makes of its "
            "last map; give a detector of hwkd, or use bounded"
        )
    return torch.as_tensor(found.view(1, -1, 1, 1))
