"""The optimizer of a training: one kernel call per group of parameters and step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from hwkd.train.config import TrainConfig
from hwkd.train.turned import turn_gradients, turned_weights

_MOMENTUM = 0.9
_ROLES = ("decayed", "free", "turned")
# Of the rate of other weights. One segmenter, six passes over 12,000 scenes, one seed, a mean IoU
# on validation with 0 (SGD alone), .07, .2 and .5: .392, .403, .423 and .398.
_TURNED_RATIO = 0.2


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


def _turned_step(optimizer: _SGD) -> None:
    for group in optimizer.param_groups:
        if group["is_turned"]:
            turn_gradients(group["params"], optimizer.state, _MOMENTUM)
    _SGD.step(optimizer)


class _Muon(_SGD):
    """SGD whose groups with `is_turned` make steps of one length in all directions."""

    step = torch.no_grad()(_turned_step)


def make_optimizer(
    parameters: Sequence[nn.Parameter], config: TrainConfig, *, module: nn.Module | None = None
) -> Optimizer:
    """Return the optimizer of a config; biases and normalisation are not decayed.

    Args:
        parameters: that it changes.
        module: that they are of: where the config has rates of layers, and whose convolutions
            "muon" turns the steps of.
    """
    factors = _factors(module, config)
    is_muon = config.optimizer == "muon"
    turned = turned_weights(module) if is_muon else set()

    def role(parameter: nn.Parameter) -> str:
        if id(parameter) in turned:
            return "turned"
        return "decayed" if parameter.dim() > 1 else "free"

    groups = [
        _group(
            [p for p in parameters if factors.get(id(p), 1.0) == factor and role(p) == wanted],
            wanted, factor, config,
        )
        for factor in dict.fromkeys((1.0, *factors.values()))
        for wanted in (_ROLES if is_muon else _ROLES[:-1])
    ]  # fmt: skip
    if config.optimizer == "adamw":
        return _AdamW(groups, lr=config.learning_rate, fused=True)
    kind = _Muon if is_muon else _SGD
    return kind(groups, lr=config.learning_rate, momentum=_MOMENTUM, nesterov=True, fused=True)


def _group(
    parameters: list[nn.Parameter], role: str, factor: float, config: TrainConfig
) -> dict[str, Any]:
    group = {"params": parameters, "is_turned": role == "turned"}
    if role == "turned":
        # Steps have their momentum already, and weights their length.
        still = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
        return group | still | {"factor": _TURNED_RATIO * factor}
    decay = config.weight_decay if role == "decayed" else 0.0
    return group | {"weight_decay": decay, "factor": factor}


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
