"""What `model_process` of the exported C computes, in NumPy with the same integers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hwkd.core.listening import FACTOR_STEPS, WHOLE
from hwkd.signals.fixed import exp2

# Below it a power is less than the smallest step.
_LEAST_POWER = -10240


def windows_of(
    recording: NDArray[np.generic], window: int, stride: int, *, most: int
) -> Iterator[NDArray[np.generic]]:
    """Yield windows in their order, shape [at most `most`, channels, window].

    Args:
        recording: shape [channels, samples], at least a window long.
        window: samples of one.
        stride: samples to the next.
        most: windows at once, which the memory must hold.
    """
    views = np.lib.stride_tricks.sliding_window_view(recording, window, axis=1)[:, ::stride]
    views = views.transpose(1, 0, 2)
    for start in range(0, len(views), most):
        yield views[start : start + most]


def chances(outputs: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """Return the softmax of outputs in thousandths, shape [n, labels].

    Args:
        outputs: int8 steps, same shape.
        factor: see `hwkd.core.listening.power_factor`.
    """
    below = outputs.max(axis=1, keepdims=True) - outputs
    powers = exp2(np.maximum(-(below * factor // FACTOR_STEPS), _LEAST_POWER))
    sums = powers.sum(axis=1, keepdims=True)
    found: NDArray[np.int64] = (WHOLE * powers + sums // 2) // sums
    return found


def smoothed(values: NDArray[np.int64], smoothing: int) -> NDArray[np.int64]:
    """Return the mean of each row and those before it, so many where there are, rounded down."""
    sums = np.cumsum(np.pad(values, ((smoothing, 0), (0, 0))), axis=0)
    known = np.minimum(np.arange(1, len(values) + 1), smoothing)[:, np.newaxis]
    found: NDArray[np.int64] = (sums[smoothing:] - sums[:-smoothing]) // known
    return found
