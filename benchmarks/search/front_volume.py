"""Hypervolume of networks: accuracy above a floor times the room that their costs leave."""

from __future__ import annotations

import numpy as np


def volume(costs: np.ndarray, accuracy: np.ndarray, limits: np.ndarray, floor: float) -> float:
    """Return the volume that points dominate, for one cost or two.

    Args:
        costs: shape [n, costs], smaller is better.
        accuracy: shape [n], larger is better.
        limits: shape [costs]; the reference point together with `floor`.
        floor: of accuracy.
    """
    counts = np.all(costs <= limits, axis=1) & (accuracy > floor)
    costs, height = costs[counts], accuracy[counts] - floor
    if not len(costs):
        return 0.0
    grids = [np.unique(column) for column in costs.T]
    best = np.zeros([len(grid) for grid in grids])
    places = tuple(
        np.searchsorted(grid, column) for grid, column in zip(grids, costs.T, strict=True)
    )
    np.maximum.at(best, places, height)
    for axis, (grid, limit) in enumerate(zip(grids, limits, strict=True)):
        best = np.maximum.accumulate(best, axis=axis)
        shape = [1] * best.ndim
        shape[axis] = -1
        best = best * np.diff(np.r_[grid, limit]).reshape(shape)
    return float(best.sum())
