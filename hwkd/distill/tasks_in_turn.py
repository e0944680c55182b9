"""Classes that come one task after another: what is known of them, and losses over a part; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.distill.losses.of_classes import label_loss

# A label of none of the classes; `label_loss` leaves it out.
_UNSEEN = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInTurn:
    """One of several tasks, each of neighbouring classes.

    Attributes:
        index: from 0.
        of: how many tasks there are.
        exemplars: of each earlier class that are kept and learned from again.
    """

    index: int
    of: int
    exemplars: int = 0

    def first(self, classes: int) -> int:
        """Return the first class of the task, which is how many were known before."""
        return -(-classes * self.index // self.of)

    def seen(self, classes: int) -> int:
        """Return how many classes are known after the task."""
        return -(-classes * (self.index + 1) // self.of)


def seen_label_loss(logits: Tensor, labels: Tensor, *, task: TaskInTurn) -> Tensor:
    """Return the cross-entropy over the classes known so far, of each sample, nats."""
    seen = task.seen(logits.shape[1])
    known = torch.where(labels < seen, labels, torch.full_like(labels, _UNSEEN))
    return label_loss(logits[:, :seen], known)


def on_old_classes(
    logits: Tensor, target: Tensor, *, loss: Callable[[Tensor, Tensor], Tensor], task: TaskInTurn
) -> Tensor:
    """Return a loss of the logits of the classes that were known before the task."""
    first = task.first(logits.shape[1])
    return loss(logits[:, :first], target[:, :first])


def herded(features: Tensor, count: int) -> Tensor:
    """Return the samples whose running mean stays nearest the mean of all, in that order.

    Args:
        features: of one class, shape [samples, dim].
        count: at most so many.

    Source:
        iCaRL, Rebuffi et al. 2017, arXiv:1611.07725, algorithm 4.
    """
    unit = functional.normalize(features, dim=1)
    mean, total = unit.mean(0), torch.zeros_like(unit[0])
    chosen: list[int] = []
    for number in range(1, min(count, len(unit)) + 1):
        gaps = (mean - (total + unit) / number).norm(dim=1)
        gaps[chosen] = torch.inf
        chosen.append(int(gaps.argmin()))
        total = total + unit[chosen[-1]]
    return torch.tensor(chosen, dtype=torch.long)
