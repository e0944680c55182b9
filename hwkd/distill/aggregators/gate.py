"""A gate that weighs the members for each sample."""

from __future__ import annotations

import torch
from torch import Tensor


def gate_weights(gate: Tensor) -> Tensor:
    """Return softmax(relu(gate)), shape [batch, members]."""
    return torch.softmax(torch.relu(gate), -1)


def gated(members: Tensor, gate: Tensor) -> Tensor:
    """Return the logits that a gate mixes.

    Args:
        members: logits, shape [members, batch, classes].
        gate: shape [batch, members].

    Source:
        ONE, Lan et al. 2018, arXiv:1806.04606.
    """
    return torch.einsum("bk,kbc->bc", gate_weights(gate), members)
