"""Exact minimisation over weights of sum 1, by trying which of them are at a bound.

Teachers and peers are few, so all cases can be tried: an iteration with an absolute tolerance
would stop at its start where the numbers are small.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

_MOST_WEIGHTS = 8
# Added to the diagonal, as a share of the trace: equal members leave no unique solution.
_RIDGE = 1e-13
_FEASIBLE = 1e-9
_STEPS = 40


def quadratic_minimum(curvature: Tensor, slope: Tensor, *, most: float = 1.0) -> Tensor:
    """Return weights w of sum 1, 0 <= w <= most, that minimise w' H w / 2 + w' g.

    Args:
        curvature: H, shape [problems, n, n], symmetric and not negative.
        slope: g, shape [problems, n].
        most: largest weight, at least 1 / n.

    Raises:
        ValueError: for more than 8 weights.
    """
    problems, count = slope.shape
    if count > _MOST_WEIGHTS:
        raise ValueError(f"{count} members; at most {_MOST_WEIGHTS} can be weighed exactly")
    trace = curvature.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    identity = torch.eye(count, dtype=slope.dtype, device=slope.device)
    tiny = torch.finfo(slope.dtype).tiny
    matrix = curvature + (_RIDGE * trace + tiny) * identity
    best = torch.full((problems, count), 1.0 / count, dtype=slope.dtype, device=slope.device)
    value = _value(matrix, slope, best)
    states = (0, 1) if most >= 1.0 else (0, 1, 2)
    for state in product(states, repeat=count):
        found = _on_face(matrix, slope, state, most)
        if found is None:
            continue
        is_inside = ((found >= -_FEASIBLE) & (found <= most + _FEASIBLE)).all(1)
        now = _value(matrix, slope, found)
        better = is_inside & (now < value)
        best = torch.where(better[:, None], found.clamp(0.0, most), best)
        value = torch.where(better, now, value)
    return best


def _value(matrix: Tensor, slope: Tensor, weights: Tensor) -> Tensor:
    pull = torch.einsum("pi,pij->pj", weights, matrix)
    return ((pull / 2 + slope) * weights).sum(1)


def _on_face(matrix: Tensor, slope: Tensor, state: tuple[int, ...], most: float) -> Tensor | None:
    """Return the minimum where weights of state 0 are 0 and those of state 2 at the largest."""
    free = [index for index, kind in enumerate(state) if kind == 1]
    fixed = slope.new_tensor([most if kind == 2 else 0.0 for kind in state])
    left = 1.0 - float(fixed.sum())
    weights = fixed.expand_as(slope).clone()
    if not free:
        return weights if abs(left) < _FEASIBLE else None
    if left < -_FEASIBLE:
        return None
    inner = matrix[:, free][:, :, free]
    pull = slope[:, free] + (matrix @ fixed)[:, free]
    scale = inner.diagonal(dim1=1, dim2=2).amax(1).clamp(min=torch.finfo(slope.dtype).tiny)
    inner, pull = inner / scale[:, None, None], pull / scale[:, None]
    ones = torch.ones_like(pull)
    solved = torch.linalg.solve(inner, torch.stack([ones, -pull], 2))
    level = (left - solved[..., 1].sum(1)) / solved[..., 0].sum(1)
    weights[:, free] = solved[..., 1] + level[:, None] * solved[..., 0]
    return weights


def cross_entropy_minimum(members: Tensor, labels: Tensor) -> Tensor:
    """Return weights of sum 1, none negative, whose mixed logits have the least cross-entropy.

    Newton's method, each step of which is a quadratic problem over the weights.

    Args:
        members: logits, shape [members, batch, classes].
        labels: shape [batch].

    Returns:
        Shape [batch, members].
    """
    logits = members.transpose(0, 1)
    batch, count, _ = logits.shape
    of_label = labels[:, None, None].expand(-1, count, 1)
    true = logits.gather(2, of_label).squeeze(2)

    def loss(weights: Tensor) -> Tensor:
        mixed = torch.einsum("bk,bkc->bc", weights, logits)
        return mixed.logsumexp(1) - (weights * true).sum(1)

    weights = torch.full((batch, count), 1.0 / count, dtype=logits.dtype, device=logits.device)
    value = loss(weights)
    for _ in range(_STEPS):
        shares = torch.softmax(torch.einsum("bk,bkc->bc", weights, logits), 1)
        mean = torch.einsum("bc,bkc->bk", shares, logits)
        spread = torch.einsum("bc,bkc,blc->bkl", shares, logits, logits)
        curvature = spread - mean[:, :, None] * mean[:, None, :]
        slope = mean - true - torch.einsum("bkl,bl->bk", curvature, weights)
        step = quadratic_minimum(curvature, slope) - weights
        weights, value, moved = _searched(weights, value, step, loss)
        if not moved:
            break
    return weights


def _searched(
    weights: Tensor, value: Tensor, step: Tensor, loss: object
) -> tuple[Tensor, Tensor, bool]:
    """Shorten each step until it lowers the loss."""
    assert callable(loss)
    length = torch.ones_like(value)
    best, least = weights, value
    for _ in range(30):
        there = weights + length[:, None] * step
        now = loss(there)
        better = now < least
        best = torch.where(better[:, None], there, best)
        least = torch.where(better, now, least)
        if bool((better | (length < 1e-8)).all()):
            break
        length = torch.where(better, length, length / 2)
    return best, least, bool((least < value).any())
