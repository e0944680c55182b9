"""The mixture of peers that knows each sample best."""

from __future__ import annotations

import torch
from torch import Tensor

from hwkd.distill.aggregators.simplex import cross_entropy_minimum


def linear(members: Tensor, labels: Tensor) -> Tensor:
    """Return, per sample, the convex mixture of logits with the least cross-entropy.

    Args:
        members: logits, shape [members, batch, classes].
        labels: shape [batch].

    Source:
        KDCL-Linear, Guo et al., CVPR 2020.
    """
    weights = cross_entropy_minimum(members.detach(), labels)
    return torch.einsum("bk,kbc->bc", weights, members)
