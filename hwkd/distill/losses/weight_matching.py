"""Low-rank weight matching: the student's weights approximate the teacher's truncated ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.method import RunShapes, Shape, TrainedMethod, option, pair_term


def truncate_rank(weights: Tensor, rank: int) -> Tensor:
    """Return the nearest matrix of at most `rank`, shape [out, in * kernel].

    Args:
        weights: shape [out, in, ...].
        rank: >= 1.

    Source:
        Eckart and Young 1936.
    """
    matrix = weights.flatten(1)
    if rank >= min(matrix.shape):
        return matrix
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    truncated: Tensor = (left[:, :rank] * values[:rank]) @ right[:rank]
    return truncated


def weight_matching_loss(student_weights: Tensor, target: Tensor) -> Tensor:
    """Return ||W_s - target||_F^2 / ||target||_F^2.

    Args:
        student_weights: shape [out, in].
        target: same shape, the teacher's weights of reduced rank; no gradient flows into it.

    Returns:
        Scalar, no unit: 1 for a student of zeros, 0 for equal weights.

    Source:
        Own definition, no reference code is published; the truncation is that of low-rank
        factorisation, for example Denton et al. 2014, arXiv:1404.0736.
    """
    energy = target.square().sum()
    return (student_weights - target).square().sum() / energy.where(energy > 0, energy.new_ones(()))


@METHODS.register("weights")
@dataclass(frozen=True, kw_only=True)
class WeightMatching(TrainedMethod):
    """Low-rank weight matching: needs the weights of paired layers.

    Equal shapes are compared directly. Otherwise two matrices A and B are trained so that A W_s B
    has the teacher's shape; its rank is then the student's, hence the truncation.
    """

    rank: int | None = option(
        None, "of the teacher's weights; off: what the student can hold", low=1
    )

    name = "weights"
    family = "weights"
    formula = "‖A W_s B − U_r S_r V_rᵀ(W_t)‖² / ‖U_r S_r V_rᵀ‖²"
    paper = "own definition, after Denton et al. 2014, arXiv:1404.0736"
    needs = frozenset({Signal.WEIGHTS})
    pools = False
    float32_only = True

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name the matrices around the student's weights."""
        del channels, teacher_channels
        return "matrices where the shapes differ"

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with matrices where the shapes differ."""
        return _Weights(self.rank, shapes)


class _Weights(nn.Module):
    def __init__(self, rank: int | None, shapes: RunShapes) -> None:
        super().__init__()
        pairs = zip(shapes.student.weights, shapes.teacher.weights, strict=True)
        self.bridges = nn.ModuleList(_Bridge(rank, ours, theirs) for ours, theirs in pairs)

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        return {
            pair_term("weights", index): bridge(student.weights[index], teacher.weights[index])
            for index, bridge in enumerate(self.bridges)
        }


class _Bridge(nn.Module):
    def __init__(self, rank: int | None, ours: Shape, theirs: Shape) -> None:
        super().__init__()
        student, teacher = _matrix_shape(ours), _matrix_shape(theirs)
        self.rank = min(rank or min(student), min(teacher))
        self.left: nn.Module = nn.Identity()
        self.right: nn.Module = nn.Identity()
        if student[0] != teacher[0]:
            self.left = nn.Linear(student[0], teacher[0], bias=False)
        if student[1] != teacher[1]:
            self.right = nn.Linear(student[1], teacher[1], bias=False)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        ours, theirs = at_least_float32(student.flatten(1), teacher.detach())
        widened = self.left(self.right(ours).T).T
        return weight_matching_loss(widened, truncate_rank(theirs, self.rank))


def _matrix_shape(shape: Shape) -> tuple[int, int]:
    columns = 1
    for size in shape[1:]:
        columns *= size
    return shape[0], columns
