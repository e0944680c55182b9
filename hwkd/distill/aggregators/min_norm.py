"""The mixture of teachers that pulls the student where all of them agree."""

from __future__ import annotations

import torch
from torch import Tensor

from hwkd.distill.aggregators.simplex import quadratic_minimum

_LEAST_NORM = 1e-30


def min_norm_weights(
    members: Tensor,
    student: Tensor,
    *,
    temperature: float,
    nu: float = -1.0,
    normalises: bool = False,
) -> Tensor:
    """Return weights of sum 1 whose mixed gradient at the student's logits is shortest.

    Args:
        members: logits of the teachers, shape [members, batch, classes].
        student: logits, shape [batch, classes].
        temperature: of the divergences, > 0.
        nu: 1 / (nu K) is the largest weight, nu in [1/K, 1]; -1 is 1/K, which is no bound.
        normalises: gradients count by their direction alone.

    Returns:
        Shape [members, 1]; no gradient flows through them.

    Source:
        AEKD, Du et al., NeurIPS 2020.
    """
    members, student = members.detach(), student.detach()
    count = len(members)
    ours = torch.softmax(student / temperature, -1)
    # Up to a factor that all share, which no weight depends on: the batch mean of dKL / dlogits.
    pulls = (ours - torch.softmax(members / temperature, -1)).mean(1).double()
    # In float32 the products of small gradients would lose what tells the teachers apart.
    norms = pulls.norm(dim=1).clamp(min=_LEAST_NORM)
    largest = norms.max()
    scaled = pulls / norms[:, None] if normalises else pulls / largest
    share = 1.0 / count if nu == -1.0 else min(1.0, max(1.0 / count, nu))
    gram = scaled @ scaled.T
    weights = quadratic_minimum(gram[None], gram.new_zeros(1, count), most=1.0 / (share * count))[0]
    if normalises:
        weights = weights / (norms / largest)
        weights = weights / weights.sum()
    return weights[:, None].to(members.dtype)
