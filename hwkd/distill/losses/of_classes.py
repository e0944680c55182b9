"""How far logits of classes are from labels and from others' classes: a value for each sample.

Nothing is detached in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each sample, nats; 0 of one that has no label (-100)."""
    return functional.cross_entropy(logits, labels, reduction="none")


def divergence(
    logits: Tensor,
    target: Tensor,
    *,
    temperature: float = 1.0,
    scaled: bool = True,
    eps: float = 0.0,
) -> Tensor:
    """Return KL(softmax(target / T) || softmax(logits / T)) of each sample, nats.

    Args:
        logits: shape [batch, classes].
        target: logits, likewise.
        temperature: T > 0.
        scaled: multiplied by T squared, so that the gradient keeps its size.
        eps: added to the target's probabilities, as several public codes do.
    """
    log_ours = functional.log_softmax(logits / temperature, -1)
    log_theirs = functional.log_softmax(target / temperature, -1)
    theirs = log_theirs.exp()
    if eps:
        theirs = theirs + eps
        log_theirs = theirs.log()
    found = (theirs * (log_theirs - log_ours)).sum(-1)
    return found * temperature**2 if scaled else found


def soft_cross_entropy(
    logits: Tensor, target: Tensor, *, temperature: float = 1.0, scaled: bool = True
) -> Tensor:
    """Return the cross-entropy of each sample with softmax(target / T); see `divergence`.

    It is that with the target's entropy, which has no gradient.
    """
    theirs = torch.softmax(target / temperature, -1)
    found = -(theirs * functional.log_softmax(logits / temperature, -1)).sum(-1)
    return found * temperature**2 if scaled else found


# What papers call their form -> it.
SOFT_FORMS: Mapping[str, Callable[..., Tensor]] = {
    "kl": divergence,
    "cross_entropy": soft_cross_entropy,
}
