"""How alike two candidates are: a sum of terms over choices and features.

    k = additive   * share of equal choices
      + joint      * exp(-number of different choices / length)
      + linear     * inner product of the features
      + smooth     * exp(-squared distance of the features / (2 length^2))
      + own        * same group

Terms over choices are zero between groups; terms over features join them. Each is positive
definite: the distance between choices is a squared Euclidean one (Schoenberg 1938).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwkd.propose.encoding import FloatArray, Rows

# Logarithms of: additive, joint, linear, smooth, own, length of joint, length of smooth, noise;
# broad normal priors for standardised results.
LOG_MEAN = np.array([-0.7, -1.0, -1.0, -1.0, -1.5, 0.7, 0.7, -3.0])
LOG_SPREAD = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.6, 0.6, 1.0])


@dataclass(frozen=True, slots=True)
class Likeness:
    """What the kernel needs about all pairs of two sets of candidates, whatever its settings."""

    same: FloatArray | None
    equal: FloatArray
    different: FloatArray
    inner: FloatArray
    squared: FloatArray

    def kernel(self, log_settings: FloatArray) -> FloatArray:
        """Return the kernel matrix, noise excluded."""
        additive, joint, linear, smooth, own, joint_length, smooth_length, _ = np.exp(log_settings)
        # In place, as in `_squared`: fetching memory takes longer than the arithmetic.
        choices, features, term = (np.empty_like(self.equal) for _ in range(3))
        np.exp(np.multiply(self.different, -1.0 / joint_length, out=choices), out=choices)
        choices *= joint
        choices += np.multiply(self.equal, additive, out=term)
        if self.same is not None:
            choices += own
            choices *= self.same
        np.exp(np.multiply(self.squared, -0.5 / smooth_length**2, out=features), out=features)
        features *= smooth
        features += np.multiply(self.inner, linear, out=term)
        features += choices
        return features


def has_groups(first: Rows, second: Rows) -> bool:
    """Tell whether two sets hold more than one group."""
    return len(np.union1d(first.group, second.group)) > 1


def likeness(first: Rows, second: Rows, *, is_grouped: bool) -> Likeness:
    """Compare every candidate of one set with every one of another.

    Args:
        is_grouped: whether there is more than one group in whatever is compared.
    """
    different, _ = _squared(first.bits, second.bits)
    equal = different / first.size[:, None]
    np.subtract(1.0, equal, out=equal)
    columns = max(1, first.features.shape[1])
    squared, twice = _squared(first.features, second.features)
    squared /= columns
    twice /= 2.0 * columns
    same = None
    if is_grouped:
        same = (first.group[:, None] == second.group[None, :]).astype(float)
    return Likeness(
        same=same,
        equal=equal,
        different=different,
        inner=twice,
        squared=squared,
    )


def own_variance(rows: Rows, log_settings: FloatArray, *, is_grouped: bool) -> FloatArray:
    """Return the kernel of every candidate with itself."""
    additive, joint, linear, smooth, own = np.exp(log_settings[:5])
    columns = max(1, rows.features.shape[1])
    constant = additive + joint + smooth + (own if is_grouped else 0.0)
    variance: FloatArray = constant + linear * (rows.features**2).sum(1) / columns
    return variance


def _squared(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return squared distances of all pairs, and twice their inner products."""
    twice: FloatArray = first @ second.T
    twice *= 2.0
    squared: FloatArray = (first**2).sum(1)[:, None] + (second**2).sum(1)[None, :]
    squared -= twice
    return np.maximum(squared, 0.0, out=squared), twice
