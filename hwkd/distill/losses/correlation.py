"""Correlation congruence: how samples of a batch correlate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.adapters import VectorAdapter
from hwkd.distill.kernels import at_least_float32, cosine_matrix
from hwkd.distill.method import RunShapes, TrainedMethod, option


def consecutive_correlation_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Return the mean over i of the inner product of |s_i - t_i| and |s_i+1 - t_i+1|.

    Args:
        student_embedding: shape [batch, dim], batch >= 2.
        teacher_embedding: same shape.

    Source:
        RepDistiller's form, supplied by the authors of Peng et al. 2019, arXiv:1904.01802.
    """
    difference = (student_embedding - teacher_embedding).abs()
    return (difference[:-1] * difference[1:]).sum(1).mean()


def kernel_correlation_loss(
    student_embedding: Tensor, teacher_embedding: Tensor, *, gamma: float = 0.4, order: int = 2
) -> Tensor:
    """Return the mean squared difference of Gaussian kernel matrices, as Taylor sums.

    k(x, y) = exp(-2 gamma) * sum over p <= order of (2 gamma)^p / p! * cos(x, y)^p.

    Args:
        student_embedding: shape [batch, dim].
        teacher_embedding: shape [batch, any dim].
        gamma: kernel width, > 0.
        order: of the Taylor sum, >= 1.

    Returns:
        Scalar; unchanged by a rotation of embeddings.

    Source:
        Peng et al. 2019, arXiv:1904.01802, equations 6 to 8. torchdistill at 3e4373c does not
        normalise the embeddings and takes the norm instead of its square.
    """
    ours = _kernel(cosine_matrix(student_embedding), gamma, order)
    theirs = _kernel(cosine_matrix(teacher_embedding), gamma, order)
    return (ours - theirs).square().mean()


def _kernel(cosines: Tensor, gamma: float, order: int) -> Tensor:
    powers = [(2 * gamma) ** p / math.factorial(p) * cosines**p for p in range(order + 1)]
    return math.exp(-2 * gamma) * torch.stack(powers).sum(0)


@METHODS.register("cc")
@dataclass(frozen=True, kw_only=True)
class CorrelationCongruence(TrainedMethod):
    """Correlation congruence (Peng et al. 2019); needs embeddings.

    Three formulas are public. "consecutive" is RepDistiller's, with a linear layer to the teacher's
    length where they differ (RepDistiller embeds both into 128); "gaussian" is the paper's and
    needs no adapter.
    """

    form: str = option(
        "consecutive", "RepDistiller's or the paper's formula", choices=("consecutive", "gaussian")
    )
    gamma: float = option(0.4, "width of the Gaussian kernel", above=0)
    order: int = option(2, "order of its Taylor sum", low=1, high=8)

    name = "cc"
    family = "relation"
    formula = "mean_i ⟨|s_i − t_i|, |s_i₊₁ − t_i₊₁|⟩, or mean (K_s − K_t)² with Gaussian kernels"
    paper = "Peng et al. 2019, arXiv:1904.01802"
    needs = frozenset({Signal.EMBEDDING})
    min_batch = 2
    float32_only = True
    usual_weight = 0.02

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss, with its adapter for the consecutive form."""
        ours, theirs = shapes.student.embedding, shapes.teacher.embedding
        if self.form == "gaussian" or ours is None or theirs is None:
            return _Correlation(self, nn.Identity())
        return _Correlation(self, VectorAdapter(ours[0], theirs[0]))


class _Correlation(nn.Module):
    def __init__(self, method: CorrelationCongruence, adapter: nn.Module) -> None:
        super().__init__()
        self.method = method
        self.adapter = adapter

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        ours, theirs = at_least_float32(
            self.adapter(student.need(Signal.EMBEDDING)), teacher.need(Signal.EMBEDDING).detach()
        )
        if self.method.form == "gaussian":
            options = self.method
            return {
                "cc": kernel_correlation_loss(
                    ours, theirs, gamma=options.gamma, order=options.order
                )
            }
        return {"cc": consecutive_correlation_loss(ours, theirs)}
