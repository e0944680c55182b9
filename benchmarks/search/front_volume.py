"""Hypervolume of networks: accuracy above a floor times the room that their costs leave."""

from __future__ import annotations

import numpy as np

from benchmarks.lib.hypervolume import hypervolume


def volume(costs: np.ndarray, accuracy: np.ndarray, limits: np.ndarray, floor: float) -> float:
    """Return the volume that points dominate.

    Args:
        costs: shape [n, costs], smaller is better.
        accuracy: shape [n], larger is better.
        limits: shape [costs]; the reference point together with `floor`.
        floor: of accuracy.
    """
    points = np.column_stack([costs, -accuracy])
    return hypervolume(points.tolist(), (*limits.tolist(), -floor))
