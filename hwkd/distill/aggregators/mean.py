"""Averages of several teachers or peers: of logits, or of softened probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Below it a probability counts as this much, so that its logarithm stays finite.
LEAST_PROBABILITY = 1e-30


def mean_logit(members: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """Return the (weighted) mean logits.

    Args:
        members: logits, shape [members, batch, classes].
        weights: one for each member; None weighs them alike.
    """
    if weights is None:
        return members.mean(0)
    return torch.einsum("k,kbc->bc", members.new_tensor(list(weights)), members)


def mean_probability(
    members: Tensor, temperature: float = 1.0, weights: Sequence[float] | None = None
) -> Tensor:
    """Return logits whose softmax at the temperature is the mean of the members' there.

    Args:
        members: logits, shape [members, batch, classes].
        temperature: at which probabilities are softened before they are averaged, > 0.
        weights: one for each member, of sum 1; None weighs them alike.
    """
    softened = torch.softmax(members / temperature, -1)
    mean = mean_logit(softened, weights)
    return temperature * mean.clamp(min=LEAST_PROBABILITY).log()
