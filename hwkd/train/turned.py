"""Steps of one length in all directions, for the weights of convolutions (Muon).

A gradient of a small convolution has a few large directions and many small ones, and a step along
it learns little of what is rare. Here the step of a weight, as a matrix [outputs, rest], is turned
into the nearest one whose singular values are all about 1.

Source:
    Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks", for the iteration
    and its three numbers; weights of a fixed length as in their programs for CIFAR-10. Batch
    normalisation takes the length of the weights before it out again, so that only the ratio of
    step to length counts.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

_LINEAR, _CUBIC, _QUINTIC = 3.4445, -4.7750, 2.0315
_ROUNDS = 4
_LEAST_LENGTH = 1e-7


def turned_weights(module: nn.Module | None) -> set[int]:
    """Return the identities of the weights that such steps are for.

    They are of convolutions (`core`) with batch normalisation (`norm`) behind, but not of depthwise
    ones, whose outputs see one input each.
    """
    named = {} if module is None else dict(module.named_parameters())
    return {
        id(weight)
        for name, weight in named.items()
        if name.endswith("core.weight")
        and f"{name.removesuffix('core.weight')}norm.weight" in named
        and weight.dim() == 4
        and min(weight.shape[:2]) > 1
    }


@torch.no_grad()
def turn_gradients(
    weights: Iterable[nn.Parameter], state: MutableMapping[Tensor, Any], momentum: float
) -> None:
    """Replace gradients by what a step without momentum is to take off, and give weights length.

    Args:
        weights: those without a gradient are left as they are.
        state: holds what moves, for each weight under "turned".
    """
    alike: dict[tuple[int, ...], list[nn.Parameter]] = {}
    for weight in weights:
        if weight.grad is not None:
            alike.setdefault(tuple(weight.shape), []).append(weight)
    for shape, group in alike.items():
        wanted = []
        for weight in group:
            moving = state[weight].setdefault("turned", torch.zeros_like(weight))
            assert weight.grad is not None
            moving.mul_(momentum).add_(weight.grad)
            wanted.append(weight.grad.add(moving, alpha=momentum).reshape(shape[0], -1))
        steps = orthogonal(torch.stack(wanted))
        rows, columns = steps.shape[1:]
        steps *= max(1.0, rows / columns) ** 0.5
        for weight, step in zip(group, steps, strict=True):
            assert weight.grad is not None
            weight.mul_(rows**0.5 / weight.norm().clamp_(min=_LEAST_LENGTH))
            weight.grad.copy_(step.view(shape))


def orthogonal(matrices: Tensor) -> Tensor:
    """Return matrices with the same singular vectors and all singular values between .6 and 1.3.

    Args:
        matrices: shape [n, rows, columns]; small singular values, of less than about a hundredth of
            the length of a matrix, come out smaller.
    """
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_(min=_LEAST_LENGTH)
    for _ in range(_ROUNDS):
        square = x @ x.mT
        both = torch.baddbmm(square, square, square, beta=_CUBIC, alpha=_QUINTIC)
        x = torch.baddbmm(x, both, x, beta=_LINEAR)
    return x.mT if is_tall else x
