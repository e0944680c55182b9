"""Lets the channels of a narrower network answer as they did in the whole one."""

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
# Of the mean square of the channels; `benchmarks.distill.kept_channels` compares others.
RIDGE = 0.1
_MOST_POSITIONS = 20_000


@torch.no_grad()
def match_moments(
    narrow: StudentModule,
    whole: StudentModule,
    rows: Mapping[str, Tensor],
    examples: Tensor,
    *,
    ridge: float = RIDGE,
) -> None:
    """Set normalisations, weights and biases of a network that lost channels.

    Behind each dense layer a linear map of its channels is fitted, on the examples, to what they
    answer in the whole network before the activation, and folded into the layer's weights. Each
    channel then gets the mean and the deviation that it has there. Layers follow each other, so
    that each reads what is set already.

    Args:
        narrow: has weights of `whole`.
        rows: layer -> which channels of the whole network its own are.
        examples: shape [n, *input_shape].
        ridge: see `fitted_map`.

    Source:
        Li et al. 2020, EagleEye, arXiv:2007.02491, section 3.3, where statistics alone follow;
        Li et al. 2018, "Knowledge distillation from few samples", arXiv:1812.01839, where 1x1
        convolutions are fitted by least squares.
    """
    moments: dict[str, tuple[Tensor, Tensor]] = {}
    answers: dict[str, Tensor] = {}

    def look(name: str, step: Weighted, output: Tensor) -> None:
        answer = output if step.norm is None else step.norm(output)
        mean, deviation = _moments(answer)
        moments[name] = mean[rows[name]], deviation[rows[name]]
        answers[name] = _positions(answer)[:, rows[name]]

    def follow(name: str, step: Weighted, output: Tensor) -> Tensor | None:
        if _is_dense(step):
            linear = fitted_map(_positions(output), answers[name], ridge=ridge)
            step.core.weight.copy_(torch.einsum("oi,i...->o...", linear, step.core.weight))
            if step.core.bias is not None:
                step.core.bias.copy_(linear @ step.core.bias)
            output = torch.einsum("oi,bi...->bo...", linear, output)
        return _with_moments(step, output, *moments[name])

    with _at_each(whole, rows, look):
        whole.eval()(examples)
    with _at_each(narrow, rows, follow):
        was_training = narrow.training
        narrow.eval()(examples)
        narrow.train(was_training)


def _with_moments(step: Weighted, output: Tensor, wanted_mean: Tensor, wanted: Tensor) -> Tensor:
    """Give each channel of a layer a mean and a deviation; return what its weights then give."""
    mean, deviation = _moments(output)
    ratio = wanted / deviation.clamp_min(_LEAST_RATIO * deviation.max() + _LEAST_RATIO**2)
    if step.norm is not None:
        norm: Any = step.norm
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(deviation.square())
        norm.weight.copy_(ratio * (norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(wanted_mean)
        return output
    shift = wanted_mean - mean * ratio
    step.core.weight.mul_(ratio.reshape(-1, *(1,) * (step.core.weight.dim() - 1)))
    if step.core.bias is not None:
        step.core.bias.mul_(ratio).add_(shift)
    wide = (1, -1, *(1,) * (output.dim() - 2))
    return output * ratio.reshape(wide) + shift.reshape(wide)


def fitted_map(given: Tensor, wanted: Tensor, *, ridge: float = RIDGE) -> Tensor:
    """Return the linear map of channels that makes answers most like others, means apart.

    What it differs by from scaling each channel to its deviation is held back by a ridge, so that
    few examples say little.

    Args:
        given: shape [n, channels].
        wanted: likewise.
        ridge: of the mean square of the channels, > 0; a very large one is scaling alone.

    Returns:
        Shape [channels, channels], rows are what is made.
    """
    ours, theirs = (each - each.mean(0) for each in (given.double(), wanted.double()))
    own = ours.square().mean(0).sqrt()
    least = _LEAST_RATIO * own.max() + _LEAST_RATIO**2
    scaled = torch.diag(theirs.square().mean(0).sqrt() / own.clamp_min(least))
    products = ours.T @ ours
    weight = ridge * products.diagonal().mean().clamp_min(_LEAST_RATIO**2)
    held = products + weight * torch.eye(len(own), dtype=products.dtype, device=products.device)
    rest = torch.linalg.solve(held, ours.T @ (theirs - ours @ scaled))
    found: Tensor = (scaled + rest).T.to(given.dtype)
    return found


def _is_dense(step: Weighted) -> bool:
    return not isinstance(step.core, nn.Conv2d) or step.core.groups == 1


def _positions(output: Tensor) -> Tensor:
    """Return the channels at every so manieth position of all examples, [positions, channels]."""
    rows = (
        output.flatten(2).transpose(1, 2).reshape(-1, output.shape[1])
        if output.dim() > 2
        else output
    )
    return rows[:: -(-len(rows) // _MOST_POSITIONS)]


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
