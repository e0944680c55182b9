"""Where the samples of a recording that is played faster, slower or later come from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def played_places(
    samples: int, tempo: NDArray[np.floating], moves: NDArray[np.floating] | float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the sample before each place, that after it, and the share of the latter.

    A recording is played about its middle; straight lines join the samples. What is missing at an
    end is what is there, backwards.

    Args:
        samples: of the recording, and of the result.
        tempo: samples of the recording for one of the result, shape [n, 1], > 0.
        moves: samples by which it is later, likewise.

    Returns:
        Each of shape [n, samples].
    """
    last = samples - 1
    places = np.abs((np.arange(samples) - last / 2) * tempo + last / 2 + moves)
    places = np.clip(np.where(places > last, 2 * last - places, places), 0, last)
    before = np.floor(places).astype(np.int64)
    return before, np.minimum(before + 1, last), places - before
