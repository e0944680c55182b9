"""A seeded chooser without a study: benchmarks, feasibility reports and tests sample with it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from hwkd.core.student import ParamValue


class RandomChooser:
    """Chooses uniformly (or uniformly in the logarithm); the same seed gives the same choices."""

    def __init__(self, seed: int) -> None:
        """Start the generator."""
        self._random = random.Random(seed)

    def categorical(self, name: str, choices: Sequence[ParamValue]) -> ParamValue:  # noqa: ARG002
        """Pick one of `choices`; the name only matters to choosers that learn."""
        return choices[int(self._random.random() * len(choices))]

    def integer(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:  # noqa: ARG002
        """Pick an integer in [low, high], on a grid of `step` from `low`."""
        count = (high - low) // step + 1
        if not log:
            return low + step * int(self._random.random() * count)
        position = math.exp(self._random.uniform(math.log(low), math.log(high + step)))
        return low + step * min(count - 1, int((position - low) / step))
