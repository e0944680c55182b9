"""What was tried, in the form that a model needs: a bounded, telling part of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwkd.propose.encoding import FloatArray
from hwkd.propose.problem import Observation

# A model is fitted to so many observations; its time grows with the cube of their number.
MOST_MODELLED = 200
_MOST_COMPARED = 400
# On searches of 27 to 48 predictions this step brought 98 to 100% of intervals that held to 85 to
# 96%; half of it to 90 to 100%.
_STRETCH_STEP, _MOST_STRETCHED = 0.3, 4.0


@dataclass(frozen=True, slots=True)
class Trained:
    """Observations with values, oldest first.

    Attributes:
        values: shape [n, objectives].
    """

    observations: Sequence[Observation]
    values: FloatArray

    def __len__(self) -> int:
        """Return how many."""
        return len(self.observations)

    def part(self, indices: Sequence[int] | FloatArray) -> Trained:
        """Return some of them, in the order given."""
        whole = [int(index) for index in indices]
        return Trained([self.observations[index] for index in whole], self.values[whole])


class Observations:
    """Observations by number; it is extended, never changed, and cheap to look into."""

    def __init__(self, objectives: int) -> None:
        """Start empty."""
        self._trained: list[Observation] = []
        self._values = np.empty((256, objectives))
        self._front: list[int] = []
        self.pending: list[Observation] = []
        self.without_result: list[Observation] = []

    def add(self, observation: Observation) -> None:
        """Append one observation."""
        if observation.is_pending:
            self.pending.append(observation)
        elif observation.values is None:
            self.without_result.append(observation)
        else:
            count = len(self._trained)
            if count == len(self._values):
                self._values = np.r_[self._values, np.empty_like(self._values)]
            self._values[count] = observation.values
            self._trained.append(observation)
            self._keep_front(count)

    @property
    def trained(self) -> Trained:
        """Observations with values."""
        return Trained(self._trained, self._values[: len(self._trained)])

    @property
    def front(self) -> list[int]:
        """Indices of the trained that some box could prefer to all others, oldest first."""
        return self._front

    def _keep_front(self, newest: int) -> None:
        value = self._values[newest]
        front = self._values[self._front]
        if np.any(np.all(front <= value, axis=1)):
            return
        # Of equal first objectives the older one counts, wherever both serve.
        is_beaten = np.all(front >= value, axis=1) & (front[:, 0] > value[0])
        self._front = [index for index, out in zip(self._front, is_beaten, strict=True) if not out]
        self._front.append(newest)


def bounded(trained: Trained, on_front: Sequence[int], *, most: int = MOST_MODELLED) -> list[int]:
    """Return at most `most` indices: the front, the best, the newest, and some from everywhere.

    Args:
        on_front: indices that must be among them, as far as they go.
    """
    count = len(trained)
    if count <= most:
        return list(range(count))
    first = trained.values[:, 0]
    chosen = dict.fromkeys(on_front[: most // 2])
    best = np.argpartition(first, most // 4)[: most // 4]
    # Partitioning leaves them in any order; which ones they are is what counts.
    chosen.update(dict.fromkeys(sorted(best.tolist())))
    # The step doubles, so that the part hardly changes while the observations grow.
    step = 2 ** math.ceil(math.log2(count / (most // 8)))
    chosen.update(dict.fromkeys(range(0, count, step)))
    for index in range(count - 1, -1, -1):
        if len(chosen) >= most:
            break
        chosen[index] = None
    return sorted(chosen)[-most:] if len(chosen) > most else sorted(chosen)


def drawn_in(result: FloatArray, worst: float | None) -> FloatArray:
    """Return results with hopeless ones drawn in, lest a model spends itself on them.

    Args:
        worst: value above which differences mean nothing; None derives one from the results.
    """
    best, middle = result.min(), np.median(result)
    bound = middle + 2.0 * (middle - best) + 1e-9
    if worst is not None:
        bound = worst
    limited: FloatArray = np.minimum(result, bound)
    return limited


def interval_stretch(observations: Sequence[Observation]) -> float:
    """Return the factor on the next interval that makes four of five hold in the long run.

    Every interval that holds makes the next one narrower by a little, every miss wider by four
    times as much, whatever the model believes of itself.

    Source:
        Gibbs and Candes 2021, arXiv:2106.00170, on a logarithmic scale.
    """
    most, stretch = math.log(_MOST_STRETCHED), 0.0
    for observation in observations[-_MOST_COMPARED:]:
        if observation.held is not None:
            stretch += _STRETCH_STEP * ((not observation.held) - 0.2)
            stretch = min(most, max(-most, stretch))
    return math.exp(stretch)


def front_range(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the best and the worst of every objective among the undominated.

    Where they coincide, the median of all stands for the worst.

    Args:
        values: shape [n, objectives], n > 0; of many the newest are looked at.
    """
    seen = np.unique(values[-_MOST_COMPARED:], axis=0)
    no_worse = np.ones((len(seen), len(seen)), dtype=bool)  # [i, j]: i is nowhere worse than j
    for axis in seen.T:
        no_worse &= axis[:, None] <= axis[None, :]
    front = seen[no_worse.sum(0) == 1]  # by itself alone
    best, worst = front.min(0), front.max(0)
    nadir: FloatArray = np.where(worst > best, worst, np.median(seen, axis=0) + 1e-12)
    return best, nadir
