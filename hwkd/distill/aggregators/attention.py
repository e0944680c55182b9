"""Each peer decides whom it listens to."""

from __future__ import annotations

import torch
from torch import Tensor


def attention_weights(queries: Tensor, keys: Tensor) -> Tensor:
    """Return softmax over j of q_i . k_j, itself included and not scaled: [batch, peers, peers]."""
    return torch.softmax(torch.einsum("bid,bjd->bij", queries, keys), -1)


def attended(members: Tensor, queries: Tensor, keys: Tensor, *, row: int) -> Tensor:
    """Return the logits that one peer sees: the others' and its own, by its attention.

    Args:
        members: logits, shape [members, batch, classes].
        queries: shape [batch, members, dim].
        keys: likewise.
        row: of the peer.

    Source:
        OKDDip, Chen et al. 2020, arXiv:1912.00350.
    """
    return torch.einsum("bj,jbc->bc", attention_weights(queries, keys)[:, row], members)
