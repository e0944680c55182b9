"""Speech as other voices might have said it: of another size, slower or faster, heard otherwise.

Inputs are levels of mel filters over time. A shorter throat moves all of a spectrum up, about as
a factor of frequency (vocal tract length perturbation, Jaitly and Hinton 2013); a microphone or a
room adds a smooth curve over the filters to every moment.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwkd.train.augment import Augmentation, Draws

# Half waves over all filters of which a curve of a microphone is made, and a constant.
_HALF_WAVES = 3
EVEN_DRAWS, NORMAL_DRAWS = 4, _HALF_WAVES + 1


def varied_voices(batch: Tensor, what: Augmentation, draws: Draws) -> Tensor:
    """Return one varied copy of every example; what lies beyond an end is as the end is.

    Args:
        batch: shape [n, ..., bins, time].
        what: its shift, tempo, warp and colour; the rest is left to others.
        draws: even ones of shape [n, 4]: tempo, moment, size of the voice, first filter; normal
            ones of shape [n, 4]: the curve over filters.
    """
    bins, time = batch.shape[-2:]
    tempo, moment, size, first = (2 * draws.even.T - 1)[:, :, np.newaxis]
    middle, at = (time - 1) / 2, np.arange(time)
    most = what.shift[-1] if what.shift else 0
    moments = (at - middle) * np.exp(tempo * what.tempo) + middle + moment * most
    # A tenth more of frequency is a filter or so higher where filters are narrow.
    filters = np.arange(bins) * np.exp(size * what.warp) + first * what.warp * bins / 4
    varied = _between(_between(batch, moments, axis=-1), filters, axis=-2)
    if not what.colour:
        return varied
    waves = np.cos(np.pi * np.outer(np.arange(_HALF_WAVES + 1), np.linspace(0, 1, bins)))
    curves = (what.colour * draws.normal @ waves).astype(np.float32)
    added = torch.from_numpy(curves).to(batch.device)
    return varied + added.reshape(len(batch), *[1] * (batch.dim() - 3), bins, 1)


def _between(batch: Tensor, places: NDArray[np.floating], *, axis: int) -> Tensor:
    """Return values at places along an axis, shape [n, size]; lines join the values."""
    last = batch.shape[axis] - 1
    places = np.clip(places, 0, last)
    before = np.floor(places).astype(np.int64)
    shape = [len(batch), *[1] * (batch.dim() - 1)]
    shape[axis] = last + 1

    def wide(values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(batch.device).reshape(shape).expand(batch.shape)

    share = wide((places - before).astype(np.float32))
    lower, upper = (
        batch.gather(batch.dim() + axis, wide(at)) for at in (before, np.minimum(before + 1, last))
    )
    return torch.lerp(lower, upper, share)
