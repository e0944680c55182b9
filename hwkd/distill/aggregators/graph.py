"""Teachers as a graph: those that agree with the others weigh more, for each sample."""

from __future__ import annotations

import torch
from torch import Tensor


def agreement_weights(members: Tensor, *, temperature: float) -> Tensor:
    """Return how much of all agreement is with each teacher, shape [members, batch]; they sum to 1.

    An edge is the overlap sum sqrt(p q) of two teachers' softened classes, 0 to 1.

    Args:
        members: logits, shape [members, batch, classes].
        temperature: of all, > 0.

    Source:
        Vertex weights after the logits graph of Zhang and Peng 2018, arXiv:1804.10069, which learns
        them; these are computed.
    """
    roots = torch.softmax(members / temperature, -1).sqrt()
    edges = torch.einsum("kbc,jbc->kjb", roots, roots)
    with_others = edges.sum(1) - edges.diagonal(dim1=0, dim2=1).T
    total = with_others.sum(0)
    equal = torch.full_like(with_others, 1.0 / len(members))
    return torch.where(total > 0, with_others / torch.where(total > 0, total, 1.0), equal)
