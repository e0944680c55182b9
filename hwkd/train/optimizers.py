"""The optimizer of a training: one kernel call per group of parameters and step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from hwkd.train.config import TrainConfig

_MOMENTUM = 0.9


def _plain(method: Callable[..., Any]) -> Any:
    return inspect.unwrap(method)


class _Interpreted(Optimizer):
    """Methods of torch's optimizers without what wraps them to be left out by `torch.compile`.

    That imports the compiler on its first call, 1.2 processor seconds in each process (torch 2.13),
    and nothing of ours is compiled.
    """

    add_param_group = _plain(Optimizer.add_param_group)
    zero_grad = _plain(Optimizer.zero_grad)
    state_dict = _plain(Optimizer.state_dict)
    load_state_dict = _plain(Optimizer.load_state_dict)


class _AdamW(_Interpreted, AdamW):
    step = torch.no_grad()(_plain(AdamW.step))


class _SGD(_Interpreted, SGD):
    step = torch.no_grad()(_plain(SGD.step))


def make_optimizer(
    parameters: Sequence[nn.Parameter], config: TrainConfig, *, module: nn.Module | None = None
) -> Optimizer:
    """Return the optimizer of a config; biases and normalisation are not decayed.

    Args:
        parameters: that it changes.
        module: that they are of, where the config has rates of layers.
    """
    factors = _factors(module, config)
    groups = [
        {
            "params": [p for p in own if (p.dim() > 1) == is_decayed],
            "weight_decay": config.weight_decay if is_decayed else 0.0,
            "factor": factor,
        }
        for factor in dict.fromkeys((1.0, *factors.values()))
        for own in [[p for p in parameters if factors.get(id(p), 1.0) == factor]]
        for is_decayed in (True, False)
    ]
    if config.optimizer == "sgd":
        return _SGD(groups, lr=config.learning_rate, momentum=_MOMENTUM, nesterov=True, fused=True)
    return _AdamW(groups, lr=config.learning_rate, fused=True)


def _factors(module: nn.Module | None, config: TrainConfig) -> dict[int, float]:
    """Return the identity of a parameter -> its factor, of the layers that the config names."""
    if module is None:
        return {}
    return {
        id(parameter): factor
        for layer, factor in config.layer_rates
        for name, parameter in module.named_parameters()
        if f".steps.{layer}." in f".{name}"
    }
