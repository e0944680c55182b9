"""Whether pictures that are turned can be told from others: which directions are one to a set.

Random patches of the pictures say what is seen, least squares tell by it, each class for itself.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwkd.train.dataset import LabelledArrays

# Of fewer, no answer about directions is sure enough.
_FEWEST_TO_TURN = 200
_TURNED_EXAMPLES = 600
_PATCHES, _PATCH, _LARGEST_SIDE, _CHUNK = 48, 5, 32, 256
_RIDGE = 0.1
_QUARTERS, _ANY_ANGLE = 4, 32
# Both are between pixels, so that neither is told by being smoother.
_ANGLES = (math.pi / 16, math.pi / 4)
# Share of rightly told directions that is taken for guessing, beyond what luck gives.
_TOLD_MARGIN, _DEVIATIONS = 0.03, 3.0


class _Seen:
    """What parts of the pictures themselves, laid over each place, say of a picture.

    The answers of random patches, rectified and averaged over nine parts of the picture, carry
    its texture and its layout without any training (Coates, Ng, Lee, AISTATS 2011).
    """

    def __init__(self, pictures: Tensor) -> None:
        generator = torch.Generator().manual_seed(0)
        height, width = pictures.shape[2:]
        which = torch.randint(len(pictures), (_PATCHES,), generator=generator)
        rows = torch.randint(height - _PATCH + 1, (_PATCHES,), generator=generator)
        columns = torch.randint(width - _PATCH + 1, (_PATCHES,), generator=generator)
        patches = torch.stack(
            [
                pictures[i, :, y : y + _PATCH, x : x + _PATCH]
                for i, y, x in zip(which.tolist(), rows.tolist(), columns.tolist(), strict=True)
            ]
        )
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
            found.append(functional.adaptive_avg_pool2d(sides, 3).flatten(1))
        return torch.cat(found)


def directions_of(data: LabelledArrays) -> int:
    """Return how many directions cannot be told from the one in which pictures come."""
    height, width = data.inputs.shape[2:]
    if len(data.labels) < _FEWEST_TO_TURN or min(height, width) <= _PATCH:
        return 1
    drawn = np.random.default_rng(0).permutation(len(data.labels))[: 2 * _TURNED_EXAMPLES]
    step = max(1, min(height, width) // _LARGEST_SIDE)
    inputs = torch.from_numpy(np.ascontiguousarray(data.inputs[drawn, :, ::step, ::step]))
    labels = np.unique(data.labels[drawn], return_inverse=True)[1]
    known, asked = (slice(0, None, 2), slice(1, None, 2))
    seen = _Seen(inputs[known])
    turns = (2, 1) if height == width else (2,)
    directions = 1
    for quarters in turns:
        if _is_told(seen, inputs, torch.rot90(inputs, quarters, (2, 3)), labels, known, asked):
            return directions
        directions *= 2
    if directions == _QUARTERS:
        slight, half = (_in_disc(inputs, angle) for angle in _ANGLES)
        if not _is_told(seen, slight, half, labels, known, asked):
            return _ANY_ANGLE
    return directions


def _in_disc(pictures: Tensor, angle: float) -> Tensor:
    """Return pictures turned by an angle, in radians, without what lies in their corners."""
    count, channels, side, _ = pictures.shape
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]]).expand(count, 2, 3)
    grid = functional.affine_grid(turn, [count, channels, side, side], align_corners=False)
    is_inside = grid.square().sum(-1) < 1.0
    found = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return found * is_inside[:, None]


def _is_told(
    seen: _Seen,
    plain: Tensor,
    turned: Tensor,
    labels: NDArray[np.int64],
    known: slice,
    asked: slice,
) -> bool:
    """Tell whether turned pictures can be told from plain ones, better than by luck.

    Each class has a classifier of its own, by least squares: arrows that point up and arrows that
    point down are the same pictures turned, and yet not of the same class.
    """
    is_class = torch.from_numpy(np.eye(int(labels.max()) + 1, dtype=np.float32)[labels])

    def of(part: slice) -> tuple[Tensor, Tensor]:
        features = torch.cat([seen.features(plain[part]), seen.features(turned[part])])
        answers = torch.cat([-is_class[part], is_class[part]])
        return features, answers

    features, answers = of(known)
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    features = (features - mean) / deviation
    gram = features.T @ features
    gram.diagonal().add_(_RIDGE * len(features))
    weights = torch.linalg.solve(gram, features.T @ answers)
    features, answers = of(asked)
    given = (features - mean) / deviation @ weights
    hits = float(((given * answers).sum(1) > 0).float().mean())
    luck = _DEVIATIONS * 0.5 / math.sqrt(len(features))
    return hits > 0.5 + _TOLD_MARGIN + luck
