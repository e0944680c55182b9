"""Motion as others might have made it: worn otherwise, slower or stronger, by the other hand.

Inputs are normalised so that a sensor's three axes share their scale and 0 stays 0, so what happens
to vectors may happen to them.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwkd.core.nature import AXES
from hwkd.core.tempo import played_places
from hwkd.train.augment import Augmentation, Draws, turned

# Of each example: tempo, moment and mirror.
EVEN_DRAWS = 3


def normal_draws(channels: int) -> int:
    """Return how many are drawn for each example: rotation, and strength of each sensor."""
    return AXES + channels // AXES


def varied_motion(batch: Tensor, what: Augmentation, draws: Draws) -> Tensor:
    """Return one varied copy of every example.

    Args:
        batch: shape [n, 3 x sensors, time].
        what: its shift, tempo, signs, turn and strength; the rest is left to others.
        draws: even ones of shape [n, 3], normal ones of [n, 3 + sensors].
    """
    count, channels, time = batch.shape
    tempo = np.exp((2 * draws.even[:, :1] - 1) * what.tempo)
    most = what.shift[0] if what.shift else 0
    moved = _played(batch, tempo, (2 * draws.even[:, 1:2] - 1) * most)
    if what.signs:
        is_mirrored = torch.from_numpy(draws.even[:, 2] < 0.5).to(batch.device)[:, None, None]
        signs = moved.new_tensor(what.signs)[:, None]
        moved = torch.where(is_mirrored, moved * signs, moved)
    turns = torch.from_numpy(turned(draws.normal[:, :AXES] * what.turn)).to(batch.device)
    strength = np.exp(what.strength * draws.normal[:, AXES:]).astype(np.float32)
    axes = turns[:, None] @ moved.reshape(count, -1, AXES, time)
    scaled = axes * torch.from_numpy(strength).to(batch.device)[:, :, None, None]
    return scaled.reshape(count, channels, time)


def _played(batch: Tensor, tempo: NDArray[np.floating], moves: NDArray[np.floating]) -> Tensor:
    """Return examples played at another tempo and moment; see `played_places`."""
    before, after, part = played_places(batch.shape[2], tempo, moves)
    share = torch.from_numpy(part.astype(np.float32)).to(batch.device)[:, None]

    def at(indices: NDArray[np.int64]) -> Tensor:
        wide = torch.from_numpy(indices).to(batch.device)[:, None]
        return batch.gather(2, wide.expand(batch.shape))

    return torch.lerp(at(before), at(after), share)
