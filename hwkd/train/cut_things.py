"""Things cut out of their pictures, each with its class: what may be done to them is asked here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.nature import Nature

_SIDE, _MOST = 32, 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CutThings:
    """Things as examples of their classes; see `hwkd.train.dataset.LabelledArrays`.

    Attributes:
        inputs: shape [things, channels, 32, 32].
        labels: class of each, shape [things].
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    nature: Nature = "values"
    mirror_signs: tuple[float, ...] = ()

    @classmethod
    def of(cls, pictures: NDArray[np.float32], boxes: NDArray[Any]) -> CutThings:
        """Cut out at most 4,000, each in a square about its box, so that no side is stretched.

        Args:
            pictures: shape [n, channels, height, width].
            boxes: shape [n, most, 5]; see `hwkd.tasks.things_head.ThingsHead`.
        """
        which, places = np.nonzero(boxes[..., 0] >= 0)
        some = np.random.default_rng(0).permutation(len(which))[:_MOST]
        which, found = which[some], boxes[which[some], places[some]]
        x0, y0, x1, y1 = found[:, 1:].astype(np.float64).T
        side = np.maximum(x1 - x0, y1 - y0)[:, np.newaxis]
        across = (np.arange(_SIDE) + 0.5) / _SIDE - 0.5
        height, width = pictures.shape[2:]
        rows, columns = (
            np.floor((low + high)[:, np.newaxis] / 2 + across * side).clip(0, most - 1).astype(int)
            for low, high, most in ((y0, y1, height), (x0, x1, width))
        )
        shown = pictures.transpose(0, 2, 3, 1)
        cut = shown[which[:, None, None], rows[:, :, None], columns[:, None, :]]
        return cls(inputs=cut.transpose(0, 3, 1, 2), labels=found[:, 0].astype(np.int64))
