"""The member that knows a sample best teaches it."""

from __future__ import annotations

from torch import Tensor

from hwkd.distill.losses.of_classes import label_loss


def errors(members: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of every member on every sample, shape [members, batch], nats."""
    count, batch, classes = members.shape
    flat = label_loss(members.reshape(count * batch, classes), labels.repeat(count))
    return flat.reshape(count, batch)


def selected(members: Tensor, labels: Tensor) -> Tensor:
    """Return the index of the member with the least cross-entropy, shape [batch].

    Ties go to the lower index.
    """
    return errors(members, labels).argmin(0)


def lowest_error(members: Tensor, labels: Tensor) -> Tensor:
    """Return, per sample, the logits of the member with the least cross-entropy.

    Args:
        members: logits, shape [members, batch, classes].
        labels: shape [batch].

    Source:
        KDCL-Naive, Guo et al., CVPR 2020.
    """
    chosen = selected(members, labels)
    picked: Tensor = members.gather(0, chosen[None, :, None].expand(1, *members.shape[1:]))[0]
    return picked
