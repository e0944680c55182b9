"""A network whose products are split into two of a lower rank, and the weights of both."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from hwkd.core.student import Layer, Layers
from hwkd.nn.kept_channels import Parameters, Weights

_KERNEL, _BIAS = "core.weight", "core.bias"
# Behind the name of a layer, the first of the two that stand for it.
_FIRST = "__rank"


def factorised(layers: Layers, share: float) -> Layers:
    """Return a network whose larger layers are a product of a lower rank and one that widens it.

    A convolution with windows becomes one to `rank` channels and one of a single position behind
    it; a layer that would have no less work that way stays as it is.

    Args:
        layers: the network.
        share: of the largest rank of each layer, above 0 and at most 1.

    Source:
        Zhang et al. 2016, IEEE TPAMI 38, 1943-1955, section 3.1, without its nonlinearity.
    """
    shapes = {"input": layers.input_shape} | {each.name: each.shape for each in layers.layers}
    found: list[Layer] = []
    for layer in layers.layers:
        rank = _rank(layer, shapes, share)
        if rank is None:
            found.append(layer)
            continue
        found.append(
            replace(
                layer,
                name=layer.name + _FIRST,
                shape=(rank, *layer.shape[1:]),
                norm=False,
                activation="none",
            )
        )
        found.append(
            replace(
                layer,
                inputs=(layer.name + _FIRST,),
                kernel=(1, 1),
                stride=(1, 1),
                pads=(0, 0, 0, 0),
                dilation=(1, 1),
            )
        )
    return replace(layers, layers=tuple(found))


def factor_weights(split: Layers, weights: Weights) -> Weights:
    """Return the weights of a split network: of each product the nearest one of its rank.

    Args:
        split: of `factorised`.
        weights: of the network that it was split from.

    Source:
        Eckart and Young 1936, Psychometrika 1, 211-218.
    """
    ranks = {
        layer.name.removesuffix(_FIRST): layer.shape[0]
        for layer in split.layers
        if layer.name.endswith(_FIRST)
    }
    found: dict[str, Parameters] = {}
    for name, values in weights.items():
        if name not in ranks:
            found[name] = values
            continue
        kernel, rank = values[_KERNEL], ranks[name]
        left, sizes, right = np.linalg.svd(
            kernel.reshape(len(kernel), -1).astype(np.float64), full_matrices=False
        )
        root = np.sqrt(sizes[:rank])
        ends = (1,) * (kernel.ndim - 2)
        found[name + _FIRST] = {
            _KERNEL: (root[:, None] * right[:rank])
            .reshape(rank, *kernel.shape[1:])
            .astype(np.float32),
            _BIAS: np.zeros(rank, dtype=np.float32),
        }
        found[name] = {
            **values,
            _KERNEL: (left[:, :rank] * root).reshape(len(kernel), rank, *ends).astype(np.float32),
        }
    return found


def is_split(split: Layers) -> bool:
    """Tell whether any layer is a product of two."""
    return any(layer.name.endswith(_FIRST) for layer in split.layers)


def _rank(layer: Layer, shapes: dict[str, tuple[int, ...]], share: float) -> int | None:
    """Return the rank of a layer; None of one that stays as it is."""
    if layer.kind not in ("conv", "linear") or layer.groups != 1:
        return None
    read = shapes[layer.inputs[0]][0] * prod(layer.kernel)
    rank = max(1, round(share * min(read, layer.shape[0])))
    return rank if rank * (read + layer.shape[0]) < read * layer.shape[0] else None
