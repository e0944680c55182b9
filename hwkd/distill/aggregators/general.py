"""The mixture of peers whose errors, measured on held-out samples, cancel best."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_LEAST = 1e-12


def error_matrix(held_out: Tensor, labels: Tensor) -> Tensor:
    """Return mean inner products of the members' errors (softmax - one-hot), [members, members].

    Args:
        held_out: logits on held-out samples, shape [members, samples, classes].
        labels: of those samples.
    """
    wrong = torch.softmax(held_out, -1) - functional.one_hot(labels, held_out.shape[-1])
    return torch.einsum("isc,jsc->ij", wrong, wrong) / held_out.shape[1]


def general_weights(held_out: Tensor, labels: Tensor) -> Tensor:
    """Return weights of sum 1, some perhaps negative, with the least mean squared error.

    Members that err alike share their weight.
    """
    ones = held_out.new_ones(len(held_out))
    solved = torch.linalg.pinv(error_matrix(held_out, labels), hermitian=True) @ ones
    weights: Tensor = solved / solved.sum()
    return weights


def general(members: Tensor, weights: Tensor) -> Tensor:
    """Return the logarithm of the weighted mean probability.

    Args:
        members: logits, shape [members, batch, classes].
        weights: of `general_weights`, shape [members].

    Source:
        KDCL-General, Guo et al., CVPR 2020.
    """
    mixed = torch.einsum("k,kbc->bc", weights, torch.softmax(members, -1))
    return mixed.clamp(min=_LEAST).log()
