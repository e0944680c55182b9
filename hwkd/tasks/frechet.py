"""How far the pictures that a network draws are from real ones, as sets: the Fréchet distance."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

_WIDTHS = (16, 32, 64)
_BATCH = 512


def frechet_distance(made: NDArray[np.floating], real: NDArray[np.floating]) -> float:
    """Return the distance of two sets of features, each taken for a normal distribution.

    |mean difference|^2 + trace of C1 + C2 - 2 (C1 C2)^(1/2).

    Args:
        made: shape [n, features], n >= 2.
        real: shape [m, features].

    Source:
        Dowson and Landau 1982, Journal of Multivariate Analysis 12; Heusel et al. 2017,
        arXiv:1706.08500, for pictures.
    """
    means = [rows.mean(axis=0, dtype=np.float64) for rows in (made, real)]
    first, second = (np.cov(rows.astype(np.float64), rowvar=False) for rows in (made, real))
    root = _root(np.atleast_2d(first))
    # (C1 C2)^(1/2) and the root of the symmetric C1^(1/2) C2 C1^(1/2) have one trace.
    shared = np.linalg.eigvalsh(root @ np.atleast_2d(second) @ root)
    crossed = np.sqrt(np.maximum(shared, 0.0)).sum()
    apart = float(np.square(means[0] - means[1]).sum())
    return max(0.0, apart + float(np.trace(np.atleast_2d(first)))
               + float(np.trace(np.atleast_2d(second))) - 2.0 * float(crossed))  # fmt: skip


def picture_features(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 128 features of each picture by a fixed network that nothing was taught.

    Means and deviations over positions of the last of three convolutions with random weights. Such
    networks order sets of pictures much as taught ones do, and are the same everywhere.

    Args:
        pictures: levels in deviations of the training's, shape [n, channels, height, width].

    Source:
        Naeem et al. 2020, arXiv:2002.09797, section 4, for networks with random weights.
    """
    import torch

    network = _network(pictures.shape[1])
    parts = []
    with torch.no_grad():
        for start in range(0, len(pictures), _BATCH):
            given = np.ascontiguousarray(pictures[start : start + _BATCH])
            maps = network(torch.from_numpy(given)).flatten(2)
            parts.append(torch.cat([maps.mean(2), maps.std(2, correction=0)], dim=1).numpy())
    return np.concatenate(parts)


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return root


@cache
def _network(channels: int) -> nn.Module:
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(0)
    layers: list[nn.Module] = []
    for wide in _WIDTHS:
        layer = nn.Conv2d(channels, wide, 3, 2, 1, bias=False)
        deviation = (2.0 / (9 * channels)) ** 0.5  # keeps the size of activations
        layer.weight.data = deviation * torch.randn(layer.weight.shape, generator=generator)
        layers += [layer, nn.ReLU()]
        channels = wide
    return nn.Sequential(*layers).eval().requires_grad_(False)
