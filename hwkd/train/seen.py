"""What random patches of examples say of them, and what least squares makes of that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

SMALLEST_SIDE, _LARGEST_SIDE = 6, 32
_PATCHES, _PATCH, _PARTS, _CHUNK = 48, SMALLEST_SIDE - 1, 3, 256
_RIDGE = 0.1


def drawn(
    inputs: NDArray[np.float32], labels: NDArray[np.integer], *, most: int
) -> tuple[Tensor, NDArray[np.int64]]:
    """Return a sample of examples, pictures thinned out, and their classes numbered from 0.

    Drawn at random: files are often sorted by class, and every second may be of one class.

    Args:
        inputs: shape [n, channels, height, width].
        labels: shape [n].
        most: examples.
    """
    rows = np.random.default_rng(0).permutation(len(labels))[:most]
    step = max(1, min(inputs.shape[2:]) // _LARGEST_SIDE)
    numbers = np.unique(labels[rows], return_inverse=True)[1]
    return torch.from_numpy(np.ascontiguousarray(inputs[rows, :, ::step, ::step])), numbers


class Seen:
    """What parts of the pictures themselves, laid over each place, say of a picture.

    Signals are pictures of one row.

    The answers of random patches, rectified and averaged over nine parts of the picture, carry
    its texture and its layout without any training (Coates, Ng, Lee, AISTATS 2011).
    """

    def __init__(self, pictures: Tensor, *, sees_offsets: bool = False) -> None:
        """Draw the patches.

        Args:
            pictures: shape [n, channels, height, width].
            sees_offsets: whether how high values lie is seen, beside how they change.
        """
        generator = torch.Generator().manual_seed(0)
        height, width = pictures.shape[2:]
        which = torch.randint(len(pictures), (_PATCHES,), generator=generator)
        tall = min(_PATCH, height)
        rows = torch.randint(height - tall + 1, (_PATCHES,), generator=generator)
        columns = torch.randint(width - _PATCH + 1, (_PATCHES,), generator=generator)
        patches = torch.stack(
            [
                pictures[i, :, y : y + tall, x : x + _PATCH]
                for i, y, x in zip(which.tolist(), rows.tolist(), columns.tolist(), strict=True)
            ]
        )
        if not sees_offsets:
            patches = patches - patches.mean(dim=(1, 2, 3), keepdim=True)
        sizes = patches.flatten(1).norm(dim=1).clamp(min=1e-3)
        self._patches = patches / sizes[:, None, None, None]

    def features(self, pictures: Tensor) -> Tensor:
        """Return what they say of pictures, shape [n, features]."""
        found = []
        for start in range(0, len(pictures), _CHUNK):
            part = pictures[start : start + _CHUNK]
            answers = functional.conv2d(part, self._patches, stride=2)
            sides = torch.cat([answers.relu(), (-answers).relu()], dim=1)
            parts = (min(_PARTS, sides.shape[2]), _PARTS)
            found.append(functional.adaptive_avg_pool2d(sides, parts).flatten(1))
        return torch.cat(found)


def fitted(features: Tensor, answers: Tensor) -> Callable[[Tensor], Tensor]:
    """Return what gives answers to features, by least squares with a small penalty.

    Args:
        features: shape [n, features].
        answers: shape [n, answers], of mean 0.
    """
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    scaled = (features - mean) / deviation
    gram = scaled.T @ scaled
    gram.diagonal().add_(_RIDGE * len(features))
    weights = torch.linalg.solve(gram, scaled.T @ answers)
    return lambda given: (given - mean) / deviation @ weights
