"""Tests a fit on rows it has not seen, and turns what is left into an interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hwkd.cost.fit.design import Array, Design

_TAIL = 0.05
# Standard deviations between the median and the 5% tail of a normal distribution.
_NORMAL_TAIL = 1.645
# Quantiles of fewer rows than this follow single rows; a normal distribution is fitted instead.
_FEW_ROWS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSummary:
    """Relative errors of held-out predictions.

    Attributes:
        within_10_percent_ratio: share of rows with an error of at most 10%.
    """

    rows: int
    mean_ratio: float
    worst_ratio: float
    within_10_percent_ratio: float


def fold_of(groups: Sequence[str], folds: int, seed: int = 0) -> np.typing.NDArray[np.intp]:
    """Return each row's fold; rows of one group share it.

    Args:
        groups: one per row.
        folds: how many; the number of groups, or more, leaves one group out at a time.
    """
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    number = {names[j]: rank % min(folds, len(names)) for rank, j in enumerate(order)}
    return np.array([number[group] for group in groups])


def held_out_predictions(
    design: Design, folds: np.typing.NDArray[np.intp], fit: Callable[[Design], Array]
) -> Array:
    """Return predicted cycles of every row from a fit that has not seen its fold."""
    predicted = np.zeros(design.rows)
    for fold in np.unique(folds):
        cycles_per_unit = fit(design.take(folds != fold))
        predicted[folds == fold] = design.amounts[folds == fold] @ cycles_per_unit
    return predicted


def interval_ratios(measured_over_predicted: Array) -> tuple[float, float]:
    """Return the two factors on a prediction between which 90% of measurements fall.

    Few rows do not show their own tails, so below 40 the spread of a normal distribution of the
    logarithms is used, with the allowance that a small sample needs.
    """
    logs = np.log(measured_over_predicted)
    if len(logs) >= _FEW_ROWS:
        low, high = np.quantile(logs, [_TAIL, 1 - _TAIL])
    else:
        spread = float(np.sqrt(np.mean(logs**2)) * (1 + 1 / len(logs)))
        low, high = -_NORMAL_TAIL * spread, _NORMAL_TAIL * spread
    return float(np.exp(min(low, 0.0))), float(np.exp(max(high, 0.0)))


def summarise(predicted: Array, measured: Array) -> ErrorSummary:
    """Return the errors of predictions against measurements, relative to the measurements."""
    error = np.abs(predicted / measured - 1.0)
    return ErrorSummary(
        rows=len(error),
        mean_ratio=float(error.mean()),
        worst_ratio=float(error.max()),
        within_10_percent_ratio=float((error <= 0.1).mean()),
    )
