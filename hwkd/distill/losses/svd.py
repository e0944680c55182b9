"""Singular vectors: which mixtures of channels a layer uses, and how they change to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Signal
from hwkd.distill.kernels import as_maps, unit
from hwkd.distill.method import option
from hwkd.distill.pair_method import ConsecutivePairMethod

# The kernel width of the paper: exp(-d^2 / 8).
_BANDWIDTH = 8.0
# The student may spread a teacher's vector over this many further ones.
_SPARE_VECTORS = 3


def singular_vector_loss(
    student_layers: tuple[Tensor, Tensor],
    teacher_layers: tuple[Tensor, Tensor],
    *,
    vectors: int = 1,
) -> Tensor:
    """Return the summed squared difference of kernels between two layers' vectors, / batch.

    Each layer gives its leading right singular vectors of the [positions, channels] matrix, times
    the normalised singular values. A student's vector is flipped and chosen to match the teacher's.
    The kernel of two layers is exp(-(v_i - w_j)^2 / 8) for every pair of channels.

    Args:
        student_layers: two maps, shape [batch, channels, height, width]; the teacher's channel
            counts.
        teacher_layers: two maps, any height and width.
        vectors: leading vectors kept, >= 1.

    Returns:
        Scalar. A singular vector has no sign of its own: here its largest entry is positive, so the
        value is a function of the maps. Public code keeps the signs of LAPACK and changes by a
        factor of 90 when one is flipped.

    Source:
        Lee et al. 2018, arXiv:1807.06819, equations 3 to 6.
    """
    ours, theirs = [], []
    for student, teacher in zip(student_layers, teacher_layers, strict=True):
        scales, targets = channel_vectors(teacher, vectors)
        _, candidates = channel_vectors(student, vectors + _SPARE_VECTORS)
        scales = unit(scales, dim=1)[:, None, :]
        theirs.append((targets * scales).detach())
        ours.append(_align(candidates, targets) * scales)
    difference = _kernel(*ours) - _kernel(*theirs)
    return difference.square().sum() / len(student_layers[0])


def channel_vectors(maps: Tensor, vectors: int) -> tuple[Tensor, Tensor]:
    """Return singular values [batch, k] and right vectors [batch, channels, k], largest first.

    k is `vectors` or the channel count if that is smaller. A dead map gives zeros and a zero
    gradient.
    """
    matrix = as_maps(maps).flatten(2)
    gram = matrix @ matrix.transpose(1, 2)
    found: tuple[Tensor, Tensor] = _LeadingVectors.apply(gram, vectors)  # type: ignore[no-untyped-call]
    return found


def _align(candidates: Tensor, targets: Tensor) -> Tensor:
    # For each teacher vector the student vector of the largest |cosine|, flipped to agree.
    cosines = candidates.transpose(1, 2) @ targets
    is_best = cosines.abs() == cosines.abs().amax(1, keepdim=True)
    # Signs are piecewise constant, so the choice carries no gradient.
    return candidates @ (cosines.sign() * is_best).detach()


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return torch.exp(-(first[:, :, None, :] - second[:, None, :, :]).square() / _BANDWIDTH)


class _LeadingVectors(torch.autograd.Function):
    """Leading eigenvectors of Gram matrices with a gradient that survives equal eigenvalues.

    The textbook gradient divides by differences of eigenvalues. Pairs that are equal to working
    precision span a plane without preferred axes; they get no gradient instead of an infinite one.
    """

    @staticmethod
    def forward(ctx: Any, gram: Tensor, vectors: int) -> tuple[Tensor, Tensor]:
        values, columns = torch.linalg.eigh(gram)
        values, columns = values.flip(-1).clamp(min=0.0), columns.flip(-1)
        peaks = columns.gather(1, columns.abs().argmax(1, keepdim=True))
        columns = columns * peaks.sign()
        is_live = values[:, None, :1] > torch.finfo(gram.dtype).tiny
        ctx.save_for_backward(values, columns, is_live)
        kept = columns[:, :, :vectors] * is_live
        singular = values[:, :vectors].sqrt()
        ctx.mark_non_differentiable(singular)
        return singular, kept

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        values, columns, is_live = ctx.saved_tensors
        upstream = torch.zeros_like(columns)
        upstream[:, :, : gradients[1].shape[2]] = gradients[1] * is_live
        gaps = values[:, None, :] - values[:, :, None]
        limit = torch.finfo(values.dtype).eps * 10 * values[:, :1, None].clamp(min=1e-30)
        inverse = torch.where(gaps.abs() > limit, 1 / gaps.where(gaps != 0, gaps.new_ones(())), 0.0)
        inner = inverse * (columns.transpose(1, 2) @ upstream)
        gram_gradient = columns @ inner @ columns.transpose(1, 2)
        return (gram_gradient + gram_gradient.transpose(1, 2)) / 2, None


@METHODS.register("svd")
@dataclass(frozen=True, kw_only=True)
class SingularVectors(ConsecutivePairMethod):
    """Singular vectors (Lee et al. 2018); needs two or more layer pairs.

    Heights and widths may differ freely; where channel counts differ a 1 x 1 convolution is
    trained.
    """

    vectors: int = option(1, "leading vectors per layer", low=1)

    name = "svd"
    family = "feature"
    formula = "1/B Σ (K(v_i, v_{i+1})_s − K(v_i, v_{i+1})_t)², K = exp(−d² / 8)"
    paper = "Lee et al. 2018, arXiv:1807.06819"
    needs = frozenset({Signal.FEATURES})
    float32_only = True

    def compare(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
        """Return the difference of kernels between the vectors of two layers."""
        return singular_vector_loss(student, teacher, vectors=self.vectors)
