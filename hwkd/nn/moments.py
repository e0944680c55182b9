"""Lets the channels of a narrower network answer with the mean and deviation that they had."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hwkd.nn.build import StudentModule, Weighted

_Hook = Callable[[str, Weighted, Tensor], Tensor | None]
# Of a channel whose deviation is less, beside that of others, nothing is scaled up.
_LEAST_RATIO = 1e-3


@torch.no_grad()
def match_moments(
    narrow: StudentModule, whole: StudentModule, rows: Mapping[str, Tensor], examples: Tensor
) -> None:
    """Set normalisations, or weights and biases, of a network that lost channels.

    Each channel gets, on the examples, the mean and the deviation of before its activation that it
    has in the whole network; layers follow each other, so that each reads what is set already.

    Args:
        narrow: has weights of `whole`.
        rows: layer -> which channels of the whole network its own are.
        examples: shape [n, *input_shape].

    Source:
        Li et al. 2020, EagleEye, arXiv:2007.02491, section 3.3, where statistics alone follow.
    """
    moments: dict[str, tuple[Tensor, Tensor]] = {}

    def look(name: str, step: Weighted, output: Tensor) -> None:
        answer = output if step.norm is None else step.norm(output)
        mean, deviation = _moments(answer)
        moments[name] = mean[rows[name]], deviation[rows[name]]

    def follow(name: str, step: Weighted, output: Tensor) -> Tensor | None:
        wanted_mean, wanted = moments[name]
        mean, deviation = _moments(output)
        ratio = wanted / deviation.clamp_min(_LEAST_RATIO * deviation.max() + _LEAST_RATIO**2)
        if step.norm is not None:
            norm: Any = step.norm
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(deviation.square())
            norm.weight.copy_(ratio * (norm.running_var + norm.eps).sqrt())
            norm.bias.copy_(wanted_mean)
            return None
        shift = wanted_mean - mean * ratio
        step.core.weight.mul_(ratio.reshape(-1, *(1,) * (step.core.weight.dim() - 1)))
        if step.core.bias is not None:
            step.core.bias.mul_(ratio).add_(shift)
        wide = (1, -1, *(1,) * (output.dim() - 2))
        return output * ratio.reshape(wide) + shift.reshape(wide)

    with _at_each(whole, rows, look):
        whole.eval()(examples)
    with _at_each(narrow, rows, follow):
        was_training = narrow.training
        narrow.eval()(examples)
        narrow.train(was_training)


def _moments(output: Tensor) -> tuple[Tensor, Tensor]:
    axes = (0, *range(2, output.dim()))
    return output.mean(axes), output.var(axes, correction=0).sqrt()


@contextmanager
def _at_each(network: StudentModule, names: Iterable[str], do: _Hook) -> Iterator[None]:
    """Call a function with what the weights of each layer give, while the block runs."""

    def hook(name: str, step: Weighted) -> Callable[[nn.Module, Any, Tensor], Tensor | None]:
        return lambda _core, _inputs, output: do(name, step, output)

    handles = []
    for name in names:
        step = network.steps[name]
        if isinstance(step, Weighted):
            handles.append(step.core.register_forward_hook(hook(name, step)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
