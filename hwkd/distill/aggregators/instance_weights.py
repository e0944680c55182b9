"""Weights of teachers that are learned: for all samples alike, or from each sample's features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hwkd.distill.aggregators.mean import LEAST_PROBABILITY


def mixed(members: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Return logits whose softmax at the temperature is a mixture of the members' there.

    Args:
        members: logits, shape [members, batch, classes].
        weights: of each sample, of sum 1, shape [batch, members].
        temperature: at which probabilities are mixed, > 0.
    """
    softened = torch.softmax(members / temperature, -1)
    mixture = torch.einsum("bk,kbc->bc", weights, softened)
    return temperature * mixture.clamp(min=LEAST_PROBABILITY).log()


def learned_mixture(members: Tensor, free: Tensor, *, temperature: float) -> Tensor:
    """Return the teachers mixed by softmax of free weights, which learn.

    Args:
        members: logits, shape [members, batch, classes].
        free: shape [members].
        temperature: at which probabilities are mixed, > 0.
    """
    weights = torch.softmax(free, 0).expand(members.shape[1], -1)
    return mixed(members, weights, temperature)


def instance_weights(feature: Tensor, latent: Tensor, factors: Sequence[Tensor]) -> Tensor:
    """Return softmax over teachers k of v . (theta_k * h), shape [batch, members].

    Args:
        feature: h, pooled, shape [batch, dim].
        latent: v, shape [dim].
        factors: theta of each teacher, shape [dim].

    Source:
        AMTML-KD, Liu et al. 2021, arXiv:2103.04062.
    """
    return torch.softmax(feature @ (torch.stack(list(factors)) * latent).T, -1)


def instance_mixture(
    members: Tensor, feature: Tensor, latent: Tensor, *factors: Tensor, temperature: float
) -> Tensor:
    """Return the teachers mixed by `instance_weights`."""
    return mixed(members, instance_weights(feature, latent, factors), temperature)
