"""The torch function of each layer kind without weights, and of each activation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from hwkd.core.registry import Registry
from hwkd.core.student import Activation, Layer

Function: TypeAlias = Callable[..., Tensor]

# Layer kind -> what makes the function of a layer; it takes the layer's inputs, batch first.
FUNCTIONS: Registry[Callable[[Layer], Function]] = Registry("torch function of layer kind")


def activation_function(activation: Activation, *, in_place: bool) -> Function:
    """Return an activation; `in_place` lets it overwrite what it reads, where torch can."""
    functions: dict[Activation, Function] = {
        "none": _identity,
        "relu": partial(F.relu, inplace=in_place),
        "relu6": partial(F.relu6, inplace=in_place),
        "hard_swish": F.hardswish,
        "hard_sigmoid": F.hardsigmoid,
        "sigmoid": torch.sigmoid,
    }
    return functions[activation]


def _identity(x: Tensor) -> Tensor:
    return x


def _always(function: Function) -> Callable[[Layer], Function]:
    """Return what gives one function, whatever the layer."""

    def of(layer: Layer) -> Function:
        del layer
        return function

    return of


def _windowed(function: Function) -> Callable[[Layer], Function]:
    """Return what gives a function the window of a layer."""
    return lambda layer: partial(function, kernel_size=layer.kernel, stride=layer.stride)


FUNCTIONS.register("add")(_always(torch.add))
FUNCTIONS.register("mul")(_always(torch.mul))
FUNCTIONS.register("matmul")(_always(torch.matmul))
FUNCTIONS.register("hard_swish")(_always(F.hardswish))
FUNCTIONS.register("global_avg_pool")(_always(partial(F.adaptive_avg_pool2d, output_size=1)))
FUNCTIONS.register("avg_pool")(_windowed(F.avg_pool2d))
FUNCTIONS.register("max_pool")(_windowed(F.max_pool2d))


@FUNCTIONS.register("upsample")
def _upsample(layer: Layer) -> Function:
    factors = tuple(map(float, layer.kernel))
    if layer.mode == "nearest":
        return partial(F.interpolate, scale_factor=factors, mode="nearest")
    aligned = layer.mode == "align_corners"
    return partial(F.interpolate, scale_factor=factors, mode="bilinear", align_corners=aligned)


@FUNCTIONS.register("reshape")
def _reshape(layer: Layer) -> Function:
    shape = layer.shape
    return lambda x: x.reshape(x.shape[0], *shape)


@FUNCTIONS.register("transpose")
def _transpose(layer: Layer) -> Function:
    axes = (0, *(axis + 1 for axis in layer.permutation))
    return lambda x: x.permute(axes)


@FUNCTIONS.register("concat")
def _concat(layer: Layer) -> Function:
    axis = layer.axis + 1
    return lambda *operands: torch.cat(operands, dim=axis)


@FUNCTIONS.register("softmax")
def _softmax(layer: Layer) -> Function:
    return partial(torch.softmax, dim=layer.axis + 1)


@FUNCTIONS.register("layer_norm")
def _layer_norm(layer: Layer) -> Function:
    return partial(F.layer_norm, normalized_shape=layer.shape[-1:])


@FUNCTIONS.register("slice")
def _slice(layer: Layer) -> Function:
    return partial(
        torch.narrow, dim=layer.axis + 1, start=layer.start, length=layer.shape[layer.axis]
    )
