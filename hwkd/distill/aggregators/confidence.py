"""Teachers weigh what they know of each sample, by its label."""

from __future__ import annotations

import torch
from torch import Tensor

from hwkd.distill.aggregators.lowest_error import errors


def confidence_weights(members: Tensor, labels: Tensor) -> Tensor:
    """Return (1 - softmax over members of the cross-entropy) / (K - 1), shape [members, batch].

    Args:
        members: logits, shape [members, batch, classes]; one alone has weight 1.
        labels: shape [batch].

    Source:
        CA-MKD, Zhang et al. 2022, arXiv:2201.00007.
    """
    count = len(members)
    if count == 1:
        return torch.ones_like(members[..., 0])
    return (1.0 - torch.softmax(errors(members, labels), 0)) / (count - 1)


def top_confidence(members: Tensor) -> Tensor:
    """Return the largest probability of one teacher as a share of its batch's, shape [1, batch].

    Source:
        CWTM, a control of Furlanello et al. 2018, arXiv:1805.04770.
    """
    largest = torch.softmax(members[:1], -1).amax(-1)
    return largest / largest.sum()
