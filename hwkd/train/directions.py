"""Whether pictures that are turned, and signals upside down, can be told from others.

Random patches of the examples say what is seen, least squares tell by it, each class for itself.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwkd.train.dataset import LabelledArrays
from hwkd.train.kept_class import KeptClass
from hwkd.train.seen import SMALLEST_SIDE, Seen, drawn, fitted

# Of fewer, no answer about directions is sure enough.
_FEWEST_TO_TURN = 200
_TURNED_EXAMPLES = 600
_KNOWN, _ASKED = slice(0, None, 2), slice(1, None, 2)
_QUARTERS, _ANY_ANGLE = 4, 32
# Both are between pixels, so that neither is told by being smoother.
_ANGLES = (math.pi / 16, math.pi / 4)
# Share of rightly told directions that is taken for guessing, beyond what luck gives.
_TOLD_MARGIN, _DEVIATIONS = 0.03, 3.0


def directions_of(data: LabelledArrays, kept: KeptClass) -> int:
    """Return how many directions cannot be told from the one in which pictures come.

    Args:
        kept: of the same data; a direction that changes the class is none of them, even where what
            tells directions cannot see what points there.
    """
    height, width = data.inputs.shape[2:]
    if len(data.labels) < _FEWEST_TO_TURN or min(height, width) < SMALLEST_SIDE:
        return 1
    inputs, labels = drawn(data.inputs, data.labels, most=2 * _TURNED_EXAMPLES)
    seen = Seen(inputs[_KNOWN])
    turns = (2, 1) if height == width else (2,)
    directions = 1
    for quarters in turns:
        turned = partial(torch.rot90, k=quarters, dims=(2, 3))
        if kept.by(turned) is False or _is_told(seen, inputs, turned(inputs), labels):
            return directions
        directions *= 2
    if directions == _QUARTERS:
        slight, half = (_in_disc(inputs, angle) for angle in _ANGLES)
        if not _is_told(seen, slight, half, labels):
            return _ANY_ANGLE
    return directions


def may_be_inverted(data: LabelledArrays) -> bool:
    """Tell whether signals of the opposite sign cannot be told from those that come.

    Vibrations and alternating currents have no up and down; what has an offset or peaks to one side
    does.
    """
    if len(data.labels) < _FEWEST_TO_TURN or data.inputs.shape[-1] < SMALLEST_SIDE:
        return False
    signals = data.inputs[:, :, np.newaxis]
    inputs, labels = drawn(signals, data.labels, most=2 * _TURNED_EXAMPLES)
    seen = Seen(inputs[_KNOWN], sees_offsets=True)
    return not _is_told(seen, inputs, -inputs, labels, of_any_class=True)


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
    seen: Seen,
    plain: Tensor,
    turned: Tensor,
    labels: NDArray[np.int64],
    *,
    of_any_class: bool = False,
) -> bool:
    """Tell whether turned examples can be told from plain ones, better than by luck.

    Each class has a classifier of its own, by least squares: arrows that point up and arrows that
    point down are the same pictures turned, and yet not of the same class.

    Args:
        of_any_class: tell also where only the examples of one class can be told, however rare.
    """
    is_class = torch.from_numpy(np.eye(int(labels.max()) + 1, dtype=np.float32)[labels])

    def of(part: slice) -> tuple[Tensor, Tensor]:
        features = torch.cat([seen.features(plain[part]), seen.features(turned[part])])
        answers = torch.cat([-is_class[part], is_class[part]])
        return features, answers

    features, answers = of(_KNOWN)
    says = fitted(features, answers)
    features, answers = of(_ASKED)
    given = says(features)
    is_right = ((given * answers).sum(1) > 0).numpy()
    groups = [is_right]
    if of_any_class:
        names = np.tile(labels[_ASKED], 2)
        groups += [is_right[names == name] for name in np.unique(names)]
    return any(_beyond_luck(group) for group in groups)


def _beyond_luck(is_right: NDArray[np.bool_]) -> bool:
    luck = _DEVIATIONS * 0.5 / math.sqrt(len(is_right))
    return float(is_right.mean()) > 0.5 + _TOLD_MARGIN + luck
