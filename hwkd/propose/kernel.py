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
        choices = additive * self.equal + joint * np.exp(self.different * (-1.0 / joint_length))
        if self.same is not None:
            choices = (choices + own) * self.same
        features: FloatArray = smooth * np.exp(self.squared * (-0.5 / smooth_length**2))
        features += linear * self.inner
        features += choices
        return features


def likeness(first: Rows, second: Rows) -> Likeness:
    """Compare every candidate of one set with every one of another."""
    different = _squared(first.bits, second.bits)
    columns = max(1, first.features.shape[1])
    inner = first.features @ second.features.T / columns
    groups = np.union1d(first.group, second.group)
    same = None
    if len(groups) > 1:
        same = (first.group[:, None] == second.group[None, :]).astype(float)
    return Likeness(
        same=same,
        equal=1.0 - different / first.size[:, None],
        different=different,
        inner=inner,
        squared=_squared(first.features, second.features) / columns,
    )


def own_variance(rows: Rows, log_settings: FloatArray, *, has_groups: bool) -> FloatArray:
    """Return the kernel of every candidate with itself."""
    additive, joint, linear, smooth, own = np.exp(log_settings[:5])
    columns = max(1, rows.features.shape[1])
    constant = additive + joint + smooth + (own if has_groups else 0.0)
    variance: FloatArray = constant + linear * (rows.features**2).sum(1) / columns
    return variance


def _squared(first: FloatArray, second: FloatArray) -> FloatArray:
    lengths = (first**2).sum(1)[:, None] + (second**2).sum(1)[None, :]
    squared: FloatArray = np.maximum(lengths - 2.0 * (first @ second.T), 0.0)
    return squared
