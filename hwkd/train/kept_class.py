"""Whether pictures that are flipped or turned keep their classes.

Random patches of the pictures say what is seen, least squares name the class by it, and pictures
that were changed are asked. What a change does to a value is not measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hwkd.core.likeliest import likeliest
from hwkd.train.dataset import LabelledArrays
from hwkd.train.seen import SMALLEST_SIDE, Seen, fitted

# Flipped pictures keep so much of the accuracy above chance (2026-11-30), left and right, up and
# down: digits .23, .35; Fashion-MNIST .64 (its shoes point one way, yet ten epochs reach .930 with
# mirroring and .924 without), .22; weld seams under one light .63, .64; arrows to the left and to
# the right -.75, .74.
_KEEPS_RATIO = 0.5
_EXAMPLES, _LARGEST_SIDE, _DEVIATIONS = 2_000, 32, 3.0


class KeptClass:
    """Names classes of one half of a sample, changed or not, having seen the other half."""

    def __init__(self, data: LabelledArrays) -> None:
        """See what names the classes.

        Args:
            data: pictures of shape [n, channels, height, width] and the indices of their classes.
        """
        # Drawn at random: files are often sorted by class, and every second may be of one class.
        drawn = np.random.default_rng(0).permutation(len(data.labels))[: 2 * _EXAMPLES]
        step = max(1, min(data.inputs.shape[2:]) // _LARGEST_SIDE)
        pictures = torch.from_numpy(np.ascontiguousarray(data.inputs[drawn, :, ::step, ::step]))
        classes, numbers = np.unique(data.labels[drawn], return_inverse=True)
        self._asked, self._numbers = pictures[1::2], numbers[1::2]
        self._chance = 1.0 / len(classes)
        self._plain = 0.0
        if min(data.inputs.shape[2:]) < SMALLEST_SIDE or len(classes) < 2 or len(drawn) < 2:
            return
        answers = torch.from_numpy(np.eye(len(classes), dtype=np.float32)[numbers])
        self._seen, self._shares = Seen(pictures[::2]), answers[::2].mean(0)
        self._says = fitted(self._seen.features(pictures[::2]), answers[::2] - self._shares)
        self._plain = self._above_chance(self._asked)

    def by(self, change: Callable[[Tensor], Tensor]) -> bool | None:
        """Tell whether changed pictures keep their classes; None where nothing names those.

        Args:
            change: of pictures, shape [n, channels, height, width].
        """
        luck = math.sqrt(self._chance * (1.0 - self._chance) / max(1, len(self._asked)))
        if self._plain < _DEVIATIONS * luck or not self._plain:
            return None
        return self._above_chance(change(self._asked)) >= _KEEPS_RATIO * self._plain

    def _above_chance(self, pictures: Tensor) -> float:
        """Return the balanced accuracy less that of guessing."""
        given = self._says(self._seen.features(pictures)) + self._shares
        is_right = likeliest(given).numpy() == self._numbers
        own = [float(is_right[self._numbers == one].mean()) for one in np.unique(self._numbers)]
        return float(np.mean(own)) - self._chance
