"""What a candidate is expected to gain: hypervolume, or one objective's improvement.

Every objective is minimised. Exact values have a deviation of 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import ndtr

from hwkd.propose.encoding import FloatArray

_POINTS_OF_ONE_AXIS = 128
_POINTS = 256
_BITS = 30  # of a coordinate of theirs
_AT_ONCE = 128  # candidates, so that their matrices stay in the processor's cache


@dataclass(frozen=True, slots=True)
class Estimates:
    """Mean and deviation of every objective; shape [n, objectives] each, deviation 0 if exact."""

    mean: FloatArray
    deviation: FloatArray


@dataclass(frozen=True, slots=True)
class Box:
    """Where a front counts.

    Attributes:
        points: shape [points, objectives - 1]: places in the box of all objectives but the first,
            spread evenly. A candidate serves the points that it does not exceed.
        worst: first objective above which a candidate is worth nothing.
    """

    points: FloatArray
    worst: float

    @classmethod
    def spanning(cls, low: FloatArray, high: FloatArray, *, worst: float) -> Box:
        """Spread points over a box of one axis or more."""
        axes = len(low)
        if axes == 1:
            places = (np.arange(_POINTS_OF_ONE_AXIS)[:, None] + 0.5) / _POINTS_OF_ONE_AXIS
        else:
            places = _spread(axes)
        return cls(low + places * (high - low), worst)


@cache
def _spread(axes: int) -> FloatArray:
    """Return the first Sobol points, scrambled, shape [points, axes].

    The very first is a corner of the box; scrambling moves it inside. The values are those of
    `scipy.stats.qmc.Sobol(axes, rng=numpy.random.default_rng(0))`; importing `scipy.stats` takes
    half a second, in every worker.

    Source:
        Matousek 1998, Journal of Complexity 14, 527-556: a random lower triangular matrix over the
        binary digits of each axis, and a random shift of them.
    """
    import torch

    random = np.random.default_rng(0).spawn(1)[0]
    shift = random.integers(2, size=(axes, _BITS), dtype=np.uint32)[:, ::-1].astype(np.int64)
    matrix = np.tril(random.integers(2, size=(axes, _BITS, _BITS), dtype=np.uint32))
    matrix[:, np.arange(_BITS), np.arange(_BITS)] = 1
    engine = torch.quasirandom.SobolEngine(axes)  # type: ignore[no-untyped-call]
    points = engine.draw(_POINTS, dtype=torch.float64).numpy()
    digits = (points * 2**_BITS).astype(np.int64)[..., np.newaxis] >> np.arange(_BITS)[::-1] & 1
    scrambled = np.einsum("aij,naj->nai", matrix.astype(np.int64), digits) + shift & 1
    places: FloatArray = scrambled @ 0.5 ** np.arange(1, _BITS + 1)
    return places


def expected_improvement(mean: FloatArray, deviation: FloatArray, best: FloatArray) -> FloatArray:
    """Return E[max(0, best - value)] of normal values.

    Source:
        Jones, Schonlau and Welch 1998, equation 15.
    """
    safe = np.maximum(deviation, 1e-12)
    z = (best - mean) / safe
    gain: FloatArray = safe * (z * ndtr(z) + np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi))
    return gain


def front_at(box: Box, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the best first objective at every point of a box, and who reaches it.

    Args:
        values: shape [n, objectives].

    Returns:
        Front, shape [points], at most `box.worst`; index of the candidate, -1 where none does.
    """
    if not len(values):
        return np.full(len(box.points), box.worst), np.full(len(box.points), -1)
    # Axis by axis: NumPy is slow at many reductions over a few elements each.
    inside = np.ones((len(values), len(box.points)), dtype=bool)
    for axis in range(1, values.shape[1]):
        inside &= values[:, axis, None] <= box.points[None, :, axis - 1]
    first = np.where(inside, values[:, :1], np.inf)
    who = first.argmin(0)
    best = first[who, np.arange(len(box.points))]
    return np.minimum(best, box.worst), np.where(best < box.worst, who, -1)


def hypervolume_gain(box: Box, front: FloatArray, estimates: Estimates) -> FloatArray:
    """Return the expected growth of the hypervolume, in shares of the box.

    The integral over the box of (chance that a point is served) times (expected improvement of the
    first objective there); objectives are independent given what is known.

    Args:
        front: from `front_at`.
    """
    # Many points share one level of the front; the improvement is computed once for each level.
    levels, which = np.unique(front, return_inverse=True)
    at_level = (which[:, None] == np.arange(len(levels))).astype(float)
    gain = np.zeros(len(estimates.mean))
    for first in range(0, len(gain), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        mean, deviation = estimates.mean[part], estimates.deviation[part]
        share = _served(box, mean, deviation) @ at_level / len(front)
        improvement = expected_improvement(mean[:, :1], deviation[:, :1], levels[None, :])
        gain[part] = (share * improvement).sum(1)
    return gain


def _served(box: Box, mean: FloatArray, deviation: FloatArray) -> FloatArray:
    """Return the chance that a candidate exceeds a point nowhere, shape [candidates, points]."""
    is_served = np.ones((len(mean), len(box.points)), dtype=bool)
    for axis in range(1, mean.shape[1]):
        within = mean[:, axis, None] <= box.points[None, :, axis - 1]
        is_uncertain = deviation[:, axis] > 0
        if is_uncertain.any():
            within |= is_uncertain[:, None]
        is_served &= within
    served: FloatArray = is_served.astype(float)
    for axis in range(1, mean.shape[1]):
        uncertain = np.flatnonzero(deviation[:, axis])
        if len(uncertain):
            room = box.points[None, :, axis - 1] - mean[uncertain, axis, None]
            served[uncertain] *= ndtr(room / np.maximum(deviation[uncertain, axis, None], 1e-12))
    return served
