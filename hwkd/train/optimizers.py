"""The optimizer of a training: one kernel call per group of parameters and step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hwkd.train.config import TrainConfig

__all__ = ["make_optimizer"]

_MOMENTUM = 0.9


def make_optimizer(
    parameters: Sequence[nn.Parameter], config: TrainConfig
) -> torch.optim.Optimizer:
    """Return the optimizer of a config; biases and normalisation are not decayed.

    Args:
        parameters: of the module and of what is trained beside it.
        config: names the optimizer and the weight decay.
    """
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=config.learning_rate, momentum=_MOMENTUM, nesterov=True, fused=True
        )
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
