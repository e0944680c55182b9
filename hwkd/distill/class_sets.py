"""Teachers that know some of the classes: their labels, and losses among what they know; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hwkd.distill.losses.of_classes import label_loss

_UNKNOWN = -100  # what `label_loss` counts as 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSet:
    """One of several sets of neighbouring classes, as equal as may be.

    Attributes:
        index: from 0.
        of: how many sets there are.
    """

    index: int
    of: int

    def bounds(self, classes: int) -> tuple[int, int]:
        """Return its first class, and the one behind its last."""
        return -(-classes * self.index // self.of), -(-classes * (self.index + 1) // self.of)


def set_label_loss(logits: Tensor, labels: Tensor, *, known: ClassSet) -> Tensor:
    """Return the cross-entropy among the set of each sample, nats; 0 of samples of no class in it.

    Args:
        logits: of all classes, shape [batch, classes].
        labels: shape [batch].
    """
    first, end = known.bounds(logits.shape[1])
    is_known = (labels >= first) & (labels < end)
    inner = torch.where(is_known, labels - first, torch.full_like(labels, _UNKNOWN))
    return label_loss(logits[:, first:end], inner)


def on_set(
    logits: Tensor, target: Tensor, *, loss: Callable[[Tensor, Tensor], Tensor], known: ClassSet
) -> Tensor:
    """Return a loss of the logits of the set alone: what a teacher says of others is not read."""
    first, end = known.bounds(logits.shape[1])
    return loss(logits[:, first:end], target[:, first:end])


def mass_in_set(members: Tensor, *, known: ClassSet) -> Tensor:
    """Return how likely each sample is of a class of the set, shape [batch].

    Args:
        members: logits of one teacher, shape [1, batch, classes].
    """
    first, end = known.bounds(members.shape[-1])
    return torch.softmax(members[0], -1)[:, first:end].sum(-1)
