"""Scores of a student on inputs that were changed a little so that it errs: how robust it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwkd.core.errors import ConfigError, TeacherError
from hwkd.core.head import Head
from hwkd.core.metric import Scores
from hwkd.distill.method import Configured, option
from hwkd.distill.written_options import configured_options, split_options
from hwkd.engine.setup.made import normalised_range
from hwkd.tasks.base import TaskData
from hwkd.train.seeding import derive_seed

_BATCH = 256
_EXAMPLE = "pgd:eps=0.1,steps=10"


@dataclass(frozen=True, kw_only=True)
class Attack(Configured):
    """Projected gradient descent (Madry et al. 2018, arXiv:1706.06083): steps of the sign.

    Every value of an input may change by so much; it stays in the range of the data.
    """

    kind = "--robustness"
    name = "pgd"

    eps: float = option(
        0.1, "largest change of a value, in ranges of the raw data", above=0, high=1
    )
    steps: int = option(10, "of 2.5 eps together, from a random start", low=1, high=1000)


def parse_attack(text: str) -> Attack:
    """Return the attack that `pgd:eps=..,steps=..` names.

    Raises:
        ConfigError: if it is another, or a number is outside its range.
    """
    name, options = split_options(text, option="--robustness", example=_EXAMPLE)
    if name != Attack.name:
        raise ConfigError(f"--robustness {text}: is no attack; give {_EXAMPLE}")
    return Attack(**configured_options("--robustness pgd", Attack, options))


def require_attackable(data: TaskData) -> None:
    """Refuse data whose inputs cannot be changed within a range of raw values.

    Raises:
        ConfigError: says why.
    """
    if not data.head.kind.of_classes:
        raise ConfigError(f"--robustness: is of classes; {data.name} has {data.head.kind.name}")
    try:
        normalised_range(data.pipeline.record())
    except TeacherError:
        raise ConfigError(
            "--robustness: changes raw values, which this preprocessing does not lead back to; "
            "leave it out"
        ) from None


def attacked_scores(
    attack: Attack, module: nn.Module, data: TaskData
) -> tuple[NDArray[np.float32], Scores]:
    """Attack a float student on the test split; returns the inputs, and what it is worth on them.

    Args:
        module: of the student, in evaluation mode, on the processor.
    """
    test = data.test
    low, high = map(torch.from_numpy, normalised_range(data.pipeline.record()))
    draws = torch.Generator().manual_seed(derive_seed(0, "attack"))
    changed = []
    for start in range(0, len(test), _BATCH):
        inputs, labels = (
            torch.from_numpy(np.array(values[start : start + _BATCH]))
            for values in (test.inputs, test.labels)
        )
        loss = partial(_loss, module, data.head, labels)
        changed.append(changed_within(attack, inputs, loss, (low, high), draws))
    with torch.no_grad():
        outputs = torch.cat([module(part) for part in changed]).numpy()
    return torch.cat(changed).numpy(), data.head.scores(outputs, test.labels, test.wholes)


def changed_within(
    attack: Attack,
    inputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    limits: tuple[Tensor, Tensor],
    draws: torch.Generator,
) -> Tensor:
    """Return inputs that were changed so that a loss grows.

    Args:
        inputs: shape [n, channels, ...].
        loss: of changed inputs, a scalar with a gradient at them.
        limits: least and largest value of the data, shape [channels, 1, ...].
    """
    low, high = limits
    most = attack.eps * (high - low)
    step = 2.5 * most / attack.steps
    least, largest = torch.maximum(inputs - most, low), torch.minimum(inputs + most, high)
    now = inputs + most * (2 * torch.rand(inputs.shape, generator=draws) - 1)
    now = torch.minimum(torch.maximum(now, least), largest)
    for _ in range(attack.steps):
        now.requires_grad_()
        (slope,) = torch.autograd.grad(loss(now), now)
        with torch.no_grad():
            now = torch.minimum(torch.maximum(now + step * slope.sign(), least), largest)
    return now.detach()


def _loss(module: nn.Module, head: Head, labels: Tensor, inputs: Tensor) -> Tensor:
    return head.loss(module(inputs), labels)
