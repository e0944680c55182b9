"""Classifiers of class and view together: their labels, and what all views say of the class."""

from __future__ import annotations

import torch
from torch import Tensor

from hwkd.distill.losses.of_classes import label_loss


def joint_label_loss(logits: Tensor, labels: Tensor, *, view: int, views: int) -> Tensor:
    """Return the cross-entropy of class and view of each sample, nats.

    Args:
        logits: shape [batch, classes * views].
        labels: classes, shape [batch].
        view: that was seen, from 0.
        views: how many there are.
    """
    return label_loss(logits, labels * views + view)


def of_all_views(members: Tensor) -> Tensor:
    """Return logits of the classes, shape [batch, classes]: the mean of each view's for its own.

    Args:
        members: joint logits of each view, shape [views, batch, classes * views].

    Source:
        Aggregation of SLA, Lee et al. 2019, arXiv:1910.05872.
    """
    views, batch, joint = members.shape
    by_class = members.reshape(views, batch, joint // views, views)
    return torch.stack([by_class[view, :, :, view] for view in range(views)]).mean(0)
