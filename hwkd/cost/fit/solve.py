"""Finds cycles per unit of work from any number of measurements, one or thousands.

The unknowns are logarithms of factors on a prior, so cycles stay positive. A factor is the sum of
three parts, each with its own spread: one common to everything (a faster or slower core or stack),
one per operator class (a stack with good depthwise kernels) and one per amount. With one measured
model only the common part moves; with a thousand operators the prior is forgotten. It is the most
probable solution under normal errors of the logarithms, found by least squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from hwkd.cost.fit.design import COLUMNS, Array, Design

_LARGEST_LOG = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far a stack may be from the prior: standard deviations of natural logarithms.

    Attributes:
        common: of the factor that everything shares.
        per_class: of each operator class's own factor.
        per_amount: of each amount's own factor.
    """

    common: float = 1.5
    per_class: float = 0.4
    per_amount: float = 0.5


def fit_cycles(design: Design, prior: Array, spread: Spread) -> Array:
    """Return cycles per unit of work, in the order of `COLUMNS`.

    Args:
        design: measurements; amounts that no row contains follow their class and the rest.
        prior: cycles per unit to start from; what is 0 there stays 0.
        spread: how far the result may move from the prior.
    """
    used = np.flatnonzero(prior > 0)
    # Turns independent unit normals into log factors.
    mixing = np.linalg.cholesky(log_covariance(used, spread))
    work = design.amounts[:, used] * prior[used]
    log_cycles = np.log(design.cycles)
    weight = 1.0 / design.noise

    def residuals(z: Array) -> Array:
        predicted = work @ np.exp(np.clip(mixing @ z, -_LARGEST_LOG, _LARGEST_LOG))
        return np.concatenate([(np.log(predicted) - log_cycles) * weight, z])

    def jacobian(z: Array) -> Array:
        parts = work * np.exp(np.clip(mixing @ z, -_LARGEST_LOG, _LARGEST_LOG))
        shares = parts / parts.sum(axis=1, keepdims=True)
        return np.vstack([(shares @ mixing) * weight[:, None], np.eye(len(used))])

    start = np.zeros(len(used))
    solution = least_squares(residuals, start, jacobian, method="lm", max_nfev=300)
    fitted = np.zeros(len(COLUMNS))
    fitted[used] = prior[used] * np.exp(mixing @ solution.x)
    return fitted


def log_covariance(used: np.typing.NDArray[np.intp], spread: Spread) -> Array:
    """Return the prior covariance of the log factors of some columns."""
    classes = np.array([COLUMNS[i][0] for i in used])
    same_class = (classes[:, None] == classes[None, :]).astype(np.float64)
    covariance: Array = (
        np.full(same_class.shape, spread.common**2)
        + spread.per_class**2 * same_class
        + spread.per_amount**2 * np.eye(len(used))
    )
    return covariance
