"""Small tensor kernels that the losses share: precision, softmax divergences, maps, relations.

A relation loss is a matrix (Gram, cosine, distance), a normalisation and a divergence. Every kernel
has a finite gradient at zero, where square roots and divisions by norms usually have none.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_TINY = 1e-12


def at_least_float32(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return half-precision tensors as float32 and leave float32 and float64 as they are."""
    halves = (torch.float16, torch.bfloat16)
    return tuple(tensor.float() if tensor.dtype in halves else tensor for tensor in tensors)


def kl_from_logits(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(softmax(teacher) || softmax(student)) per row, summed over the last axis, nats.

    Both logarithms come from log-softmax, so that logits of 1e4 stay finite.
    """
    log_teacher = functional.log_softmax(teacher, dim=-1)
    log_student = functional.log_softmax(student, dim=-1)
    return (log_teacher.exp() * (log_teacher - log_student)).sum(-1)


def pearson(first: Tensor, second: Tensor, *, eps: float) -> Tensor:
    """Return the correlation of rows, shape [rows]; `eps` is added to the product of norms."""
    a = first - first.mean(1, keepdim=True)
    b = second - second.mean(1, keepdim=True)
    return (a * b).sum(1) / (length(a, dim=1) * length(b, dim=1) + eps)


def length(values: Tensor, *, dim: int, keepdim: bool = False) -> Tensor:
    """Return the L2 norm along `dim`; gradient 0 for an all-zero vector."""
    return _root(values.square().sum(dim, keepdim=keepdim), _TINY**2)


def unit(values: Tensor, *, dim: int) -> Tensor:
    """Return values divided by their L2 norm along `dim`; an all-zero vector stays zero."""
    norm = length(values, dim=dim, keepdim=True)
    return values / torch.where(norm > _TINY, norm, torch.ones_like(norm))


def row_unit(matrix: Tensor) -> Tensor:
    """Return a matrix whose rows have L2 norm 1 (or are zero)."""
    return unit(matrix, dim=-1)


def flat(features: Tensor) -> Tensor:
    """Return features as [batch, everything else]."""
    return features.reshape(features.shape[0], -1)


def batch_gram(features: Tensor) -> Tensor:
    """Return inner products of samples, shape [batch, batch]."""
    rows = flat(features)
    return rows @ rows.T


def cosine_matrix(features: Tensor) -> Tensor:
    """Return cosines of samples, shape [batch, batch]; a zero row has cosine 0 with all."""
    rows = row_unit(flat(features))
    return rows @ rows.T


def squared_distances(rows: Tensor) -> Tensor:
    """Return squared Euclidean distances of rows [n, d], shape [n, n], diagonal exactly 0."""
    squares = rows.square().sum(1)
    distances = (squares[:, None] + squares[None, :] - 2.0 * rows @ rows.T).clamp(min=0.0)
    return distances * (1.0 - torch.eye(len(rows), dtype=rows.dtype, device=rows.device))


def distance_matrix(rows: Tensor) -> Tensor:
    """Return Euclidean distances of rows [n, d]; gradient 0 where two rows coincide."""
    return _root(squared_distances(rows), _TINY)


def as_maps(features: Tensor) -> Tensor:
    """Return features as [batch, channels, height, width].

    A vector is a 1 x 1 map, a time series a map of height 1.

    Raises:
        ValueError: for tensors of fewer than two or more than four axes.
    """
    if features.dim() == 4:
        return features
    if features.dim() == 3:
        return features.unsqueeze(2)
    if features.dim() == 2:
        return features[:, :, None, None]
    raise ValueError(f"features of shape {tuple(features.shape)} have no channel axis")


def pool_to_common_size(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Average-pool two maps [batch, channels, h, w] to the smaller height and the smaller width."""
    size = (min(first.shape[2], second.shape[2]), min(first.shape[3], second.shape[3]))
    return _pool(first, size), _pool(second, size)


def _pool(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return maps if maps.shape[2:] == size else functional.adaptive_avg_pool2d(maps, size)


def _root(squares: Tensor, floor: float) -> Tensor:
    # sqrt has an infinite slope at 0, and infinity times the zero gradient behind it is NaN; the
    # inner `where` keeps the root away from 0 and the outer one gives the exact value there.
    safe = torch.where(squares > floor, squares, torch.ones_like(squares))
    return torch.where(squares > floor, safe.sqrt(), torch.zeros_like(squares))
