"""A Gaussian process over candidates: what would be measured, and how sure that is.

Settings of the kernel are drawn from their prior and improved by small random steps; the best few
predict together, weighted by their likelihood. No optimiser and no state: the same data and seed
give the same model, which a search that resumes relies on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from hwkd.propose.encoding import FloatArray, Rows
from hwkd.propose.kernel import (
    LOG_MEAN,
    LOG_SPREAD,
    Likeness,
    has_groups,
    likeness,
    own_variance,
)

_DRAWN, _ROUNDS, _PER_ROUND, _STEP = 24, 3, 8, 0.3
_KEPT = 4
# Above this many points one setting predicts: its likelihood outweighs the others' anyway.
_MIXED_UP_TO = 150
_JITTER = 1e-6
_AT_ONCE = 128  # candidates
# Of many candidates one is chosen, and its prediction errs by more than that of one taken blindly.
# On tables of trained networks this factor makes 80% intervals cover 70 to 90%.
_CHOSEN = 1.3
_QUANTILE_80 = 1.2815515594457418  # half of the central 80% of a normal distribution, in deviations


@dataclass(frozen=True, slots=True)
class Prediction:
    """Mean and standard deviation of the underlying value; shape [n] each."""

    mean: FloatArray
    deviation: FloatArray


@dataclass(frozen=True, slots=True)
class _Member:
    weight: float
    settings: FloatArray
    factor: FloatArray  # lower Cholesky factor of the kernel with noise
    solved: FloatArray  # [n, results]


def find_settings(rows: Rows, result: FloatArray, *, seed: int) -> tuple[FloatArray, ...]:
    """Return the best settings of the kernel for some data, best first.

    Args:
        result: shape [n], what was measured.
    """
    random = np.random.default_rng(seed)
    z = _standardised(result)
    pairs = likeness(rows, rows, is_grouped=has_groups(rows, rows))
    width = len(LOG_MEAN)
    tried: list[tuple[float, FloatArray]] = []

    def judge(settings: FloatArray) -> None:
        fitted = _fit(pairs, settings, z[:, None])
        if fitted is not None:
            tried.append((_posterior(*fitted, z, settings), settings))

    judge(LOG_MEAN)
    for _ in range(_DRAWN):
        judge(LOG_MEAN + LOG_SPREAD * random.normal(size=width))
    for _ in range(_ROUNDS):
        tried.sort(key=lambda pair: -pair[0])
        base = [settings for _, settings in tried[:_KEPT]]
        for index in range(_PER_ROUND):
            judge(base[index % len(base)] + _STEP * random.normal(size=width))
    tried.sort(key=lambda pair: -pair[0])
    return tuple(settings for _, settings in tried[:_KEPT])


class Surrogate:
    """A fitted process; several results of the same candidates share the kernel's settings."""

    def __init__(self, rows: Rows, results: FloatArray, settings: tuple[FloatArray, ...]) -> None:
        """Fit.

        Args:
            results: shape [n, results]; the first one decides how the settings are weighted.
            settings: from `find_settings`.
        """
        self._rows = rows
        self._mean = results.mean(0)
        self._scale = results.std(0) + 1e-9
        z = (results - self._mean) / self._scale
        self._is_grouped = has_groups(rows, rows)
        self._pairs = pairs = likeness(rows, rows, is_grouped=self._is_grouped)
        fitted = []
        for candidate in settings[: _KEPT if len(rows) <= _MIXED_UP_TO else 1]:
            found = _fit(pairs, candidate, z)
            if found is not None:
                score = _posterior(*found, z[:, 0], candidate)
                fitted.append((score, candidate, *found))
        if not fitted:
            raise ValueError("no setting of the kernel fits the data")
        best = max(score for score, *_ in fitted)
        weights = np.exp([score - best for score, *_ in fitted])
        shares = weights / weights.sum()
        self._members = [
            _Member(float(share), candidate, factor, solved)
            for share, (_, candidate, factor, solved) in zip(shares, fitted, strict=True)
            if share > 0.02
        ]

    def expected(self, rows: Rows, result: int = 0) -> FloatArray:
        """Predict one result of candidates without saying how sure that is."""
        is_grouped = self._is_grouped or has_groups(rows, self._rows)
        return self._expected(likeness(rows, self._rows, is_grouped=is_grouped), result)

    def smoothed(self) -> FloatArray:
        """Return the first result of what it was fitted to, without the noise."""
        return self._expected(self._pairs, 0)

    def _expected(self, pairs: Likeness, result: int) -> FloatArray:
        mean = np.zeros(len(pairs.equal))
        for member in self._members:
            mean += member.weight * (pairs.kernel(member.settings) @ member.solved[:, result])
        share = sum(member.weight for member in self._members)
        found: FloatArray = self._mean[result] + self._scale[result] * (mean / share)
        return found

    def predict(self, rows: Rows) -> Prediction:
        """Predict the first result of candidates."""
        return self.predict_all(rows, 1)[0]

    def predict_all(self, rows: Rows, results: int) -> list[Prediction]:
        """Predict the first so many results of candidates."""
        is_grouped = self._is_grouped or has_groups(rows, self._rows)
        mean, second = np.zeros((results, len(rows))), np.zeros((results, len(rows)))
        # In parts whose matrices stay in the processor's cache.
        for first in range(0, len(rows), _AT_ONCE):
            part = slice(first, first + _AT_ONCE)
            self._add_moments(rows.taken(part), is_grouped, mean[:, part], second[:, part])
        deviation = np.sqrt(np.maximum(second - mean**2, 1e-8))
        return [
            Prediction(self._mean[i] + self._scale[i] * mean[i], self._scale[i] * deviation[i])
            for i in range(results)
        ]

    def _add_moments(
        self, rows: Rows, is_grouped: bool, mean: FloatArray, second: FloatArray
    ) -> None:
        """Add mean and mean square of standardised results, of all members together."""
        pairs = likeness(rows, self._rows, is_grouped=is_grouped)
        for member in self._members:
            kernel = pairs.kernel(member.settings)
            expected = [kernel @ member.solved[:, result] for result in range(len(mean))]
            # As Fortran order, LAPACK works on the transposed kernel without a copy.
            explained = solve_triangular(
                member.factor, kernel.T, lower=True, check_finite=False, overwrite_b=True
            )
            variance = own_variance(rows, member.settings, is_grouped=is_grouped)
            variance = np.maximum(variance - (explained**2).sum(0), 1e-8)
            for result, found in enumerate(expected):
                mean[result] += member.weight * found
                second[result] += member.weight * (variance + found**2)
        share = sum(member.weight for member in self._members)
        mean /= share
        second /= share

    def measured_deviation(self, deviation: FloatArray, result: int = 0) -> FloatArray:
        """Return the deviation of a measurement: noise included, calibrated on what was measured.

        Every candidate is predicted from the others; where 80% of the measurements do not lie
        inside their 80% intervals, the intervals are too narrow or too wide by a factor. The newer
        half counts by itself, too: it was chosen for its predictions, which flatters them.
        """
        member = self._members[0]
        noise = np.exp(member.settings[7])
        left_out = np.abs(member.solved[:, result]) / np.sqrt(self._precisions)
        newer = left_out[len(left_out) // 2 :]
        ratio = max(np.quantile(left_out, 0.8), np.quantile(newer, 0.8)) / _QUANTILE_80
        factor = _CHOSEN * (min(3.0, max(1.0, float(ratio))) if len(left_out) >= 8 else 1.0)
        scale = self._scale[result]
        whole: FloatArray = factor * np.sqrt(deviation**2 + noise * scale**2)
        return whole

    @cached_property
    def _precisions(self) -> FloatArray:
        """Of every result, given all the others; shape [n]."""
        factor = self._members[0].factor
        inverse = solve_triangular(factor, np.eye(len(factor)), lower=True, check_finite=False)
        found: FloatArray = (inverse**2).sum(0)
        return found


def _standardised(result: FloatArray) -> FloatArray:
    z: FloatArray = (result - result.mean()) / (result.std() + 1e-9)
    return z


def _fit(
    pairs: Likeness, settings: FloatArray, z: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    kernel = pairs.kernel(settings)
    kernel[np.diag_indices(len(kernel))] += np.exp(settings[7]) + _JITTER
    try:
        factor: FloatArray = np.linalg.cholesky(kernel).astype(np.float64, copy=False)
    except np.linalg.LinAlgError:
        return None
    return factor, cho_solve((factor, True), z, check_finite=False)


def _posterior(
    factor: FloatArray, solved: FloatArray, z: FloatArray, settings: FloatArray
) -> float:
    """Return the log of likelihood times prior, up to a constant."""
    likelihood = -0.5 * float(z @ solved[:, 0]) - float(np.log(np.diag(factor)).sum())
    return likelihood - 0.5 * float((((settings - LOG_MEAN) / LOG_SPREAD) ** 2).sum())
