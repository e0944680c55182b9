"""Teachers that are sure weigh more."""

from __future__ import annotations

import torch
from torch import Tensor


def entropies(logits: Tensor) -> Tensor:
    """Return the entropy of softmax(logits) over the last axis, nats."""
    logs = torch.log_softmax(logits, -1)
    return -(logs.exp() * logs).sum(-1)


def entropy_weights(members: Tensor) -> Tensor:
    """Return 1 - H_k / sum of H, shape [members, batch]; they sum to K - 1, not to 1.

    Args:
        members: logits, shape [members, batch, classes].

    Source:
        EBKD, Kwon et al., ICASSP 2020.
    """
    found = entropies(members)
    total = found.sum(0)
    # Members that are all certain differ in nothing.
    share = torch.where(total > 0, found / torch.where(total > 0, total, 1.0), 1.0 / len(members))
    return 1.0 - share
