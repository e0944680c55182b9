"""The least optimistic logits of several peers."""

from __future__ import annotations

from torch import Tensor


def min_logit(members: Tensor, labels: Tensor) -> Tensor:
    """Return the elementwise minimum of logits from which each member's own true one is taken.

    Args:
        members: logits, shape [members, batch, classes].
        labels: shape [batch].

    Source:
        KDCL-MinLogit, Guo et al., CVPR 2020.
    """
    of_label = labels[None, :, None].expand(len(members), -1, 1)
    return (members - members.gather(2, of_label)).min(0).values
