"""Some of many, at even distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return at most so many of the places 0 to count - 1, both ends among them; all where few."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)
