"""Teachers as a graph: those that agree with the others weigh more, for each sample."""

from __future__ import annotations

import torch
from torch import Tensor

from hwkd.distill.aggregators.instance_weights import mixed


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
    edges = _overlaps(members, temperature)
    with_others = edges.sum(1) - edges.diagonal(dim1=0, dim2=1).T
    total = with_others.sum(0)
    equal = torch.full_like(with_others, 1.0 / len(members))
    return torch.where(total > 0, with_others / torch.where(total > 0, total, 1.0), equal)


def graph_mixture(members: Tensor, edges: Tensor, *, temperature: float) -> Tensor:
    """Return the teachers mixed, for each sample, by edges of a graph between them that learn.

    A teacher weighs as much as the softmax of its learned edges times its overlap with the teachers
    at their other ends; edges of 0 weigh all alike.

    Args:
        members: logits, shape [members, batch, classes].
        edges: shape [members * members].
        temperature: of all, > 0.

    Source:
        After the logits graph of Zhang and Peng 2018, arXiv:1804.10069, whose edges are of classes.
    """
    known = edges.view(len(members), len(members), 1)
    heard = (known * _overlaps(members, temperature)).sum(1)
    return mixed(members, torch.softmax(heard, 0).T, temperature)


def _overlaps(members: Tensor, temperature: float) -> Tensor:
    """Return sum sqrt(p q) of each two teachers, shape [members, members, batch]."""
    roots = torch.softmax(members / temperature, -1).sqrt()
    return torch.einsum("kbc,jbc->kjb", roots, roots)
