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
from hwkd.core.score_interval import balanced_accuracy
from hwkd.train.dataset import LabelledArrays
from hwkd.train.seen import SMALLEST_SIDE, Seen, drawn, fitted

# Flipped pictures keep so much of the accuracy above chance (2026-11-30), left and right, up and
# down: digits .23, .35; Fashion-MNIST .64 (its shoes point one way, yet ten epochs reach .930 with
# mirroring and .924 without), .22; weld seams under one light .63, .64; arrows to the left and to
# the right -.75, .74.
_KEEPS_RATIO = 0.5
_EXAMPLES, _DEVIATIONS = 2_000, 3.0


class KeptClass:
    """Names classes of one half of a sample, changed or not, having seen the other half."""

    def __init__(self, data: LabelledArrays) -> None:
        """See what names the classes.

        Args:
            data: pictures of shape [n, channels, height, width] and the indices of their classes.
        """
        pictures, numbers = drawn(data.inputs, data.labels, most=2 * _EXAMPLES)
        self._asked, self._numbers = pictures[1::2], numbers[1::2]
        self._classes, self._plain = int(numbers.max()) + 1, 0.0
        if min(data.inputs.shape[2:]) < SMALLEST_SIDE or self._classes < 2 or len(numbers) < 2:
            return
        answers = torch.from_numpy(np.eye(self._classes, dtype=np.float32)[numbers[::2]])
        self._seen, self._shares = Seen(pictures[::2]), answers.mean(0)
        self._says = fitted(self._seen.features(pictures[::2]), answers - self._shares)
        self._plain = self._above_chance(self._asked)

    def by(
        self, change: Callable[[Tensor], Tensor], *, least_ratio: float = _KEEPS_RATIO
    ) -> bool | None:
        """Tell whether changed pictures keep their classes; None where nothing names those.

        Args:
            change: of pictures, shape [n, channels, height, width].
            least_ratio: of the accuracy above chance that must be left.
        """
        chance = 1.0 / self._classes
        luck = math.sqrt(chance * (1.0 - chance) / max(1, len(self._asked)))
        if self._plain < _DEVIATIONS * luck or not self._plain:
            return None
        return self._above_chance(change(self._asked)) >= least_ratio * self._plain

    def _above_chance(self, pictures: Tensor) -> float:
        """Return the balanced accuracy less that of guessing."""
        given = self._says(self._seen.features(pictures)) + self._shares
        counts = np.zeros((self._classes, self._classes), dtype=np.int64)
        np.add.at(counts, (self._numbers, likeliest(given).numpy()), 1)
        return float(balanced_accuracy(counts)) - 1.0 / self._classes
