"""Things cut out of their pictures, each with its class: what may be done to them is asked here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.nature import Nature

_SIDE, _MOST = 32, 4_000
# Of masks, so many pictures are looked at; things have at least this share of one.
_MOST_PICTURES, _SPECK_RATIO = 2_000, 0.005


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
        return cls._cut(pictures, which, boxes[which, places])

    @classmethod
    def of_masks(cls, pictures: NDArray[np.float32], masks: NDArray[np.int16]) -> CutThings:
        """Cut out what lies together and is of one class, but for specks and the commonest class.

        Args:
            pictures: shape [n, channels, height, width].
            masks: class numbers, -1 for none, shape [n, height, width].
        """
        from scipy.ndimage import find_objects, label

        which: list[int] = []
        found: list[tuple[int, ...]] = []
        commonest = np.bincount(masks[masks >= 0].astype(np.int64), minlength=1).argmax()
        for picture in np.random.default_rng(0).permutation(len(masks))[:_MOST_PICTURES]:
            mask = masks[picture]
            for kind in np.setdiff1d(mask, np.array([-1, commonest])):
                for rows, columns in find_objects(label(mask == kind)[0]):
                    if (mask[rows, columns] == kind).sum() >= _SPECK_RATIO * mask.size:
                        which.append(int(picture))
                        box = (columns.start, rows.start, columns.stop, rows.stop)
                        found.append((int(kind), *box))
        return cls._cut(pictures, np.array(which, np.int64), np.array(found).reshape(-1, 5))

    @classmethod
    def _cut(
        cls, pictures: NDArray[np.float32], which: NDArray[np.int64], found: NDArray[Any]
    ) -> CutThings:
        """Cut boxes, [things, 5], out of the pictures of these numbers."""
        some = np.random.default_rng(0).permutation(len(which))[:_MOST]
        which, found = which[some], found[some]
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
