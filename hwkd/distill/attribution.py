"""What a teacher gained: the method beside its controls, over seeds, with an interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import stats

from hwkd.core.errors import ConfigError

__all__ = ["Attribution", "Gain", "attribute", "paired_gain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Mean difference of paired scores and its Student-t interval.

    Attributes:
        mean: in the unit of the scores.
        low: lower end; minus infinity for a single seed.
        high: upper end; infinity for a single seed.
        seeds: pairs compared.
        confidence: of the interval, 0 to 1.
    """

    mean: float
    low: float
    high: float
    seeds: int
    confidence: float

    @property
    def verdict(self) -> str:
        """Say "gain", "loss" or "no difference shown": whether the interval excludes 0."""
        if self.low > 0:
            return "gain"
        return "loss" if self.high < 0 else "no difference shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """A method against its controls.

    Attributes:
        method: its name.
        means: arm -> mean validation score over seeds, the method's among them.
        best_control: the control with the highest mean. It is picked by the same scores that it is
        then
            compared on, which makes the gain look smaller than it is, never larger.
        gain: of the method over that control.
        exported: arm whose student ships: the method only if its mean is above every control's.
    """

    method: str
    means: Mapping[str, float]
    best_control: str
    gain: Gain
    exported: str

    @property
    def teacher_helped(self) -> bool:
        """Whether the student that ships learned from the teacher."""
        return self.exported == self.method


def paired_gain(
    scores: Sequence[float], baseline: Sequence[float], *, confidence: float = 0.95
) -> Gain:
    """Return the mean of scores - baseline, seed by seed, with its Student-t interval.

    Args:
        scores: one per seed, higher is better.
        baseline: of the same seeds in the same order.
        confidence: more than 0, less than 1.

    Raises:
        ConfigError: if the two differ in length or are empty.
    """
    if len(scores) != len(baseline) or not scores:
        raise ConfigError(
            f"attribution: {len(scores)} and {len(baseline)} scores cannot be paired; "
            "train both over the same seeds"
        )
    differences = [score - base for score, base in zip(scores, baseline, strict=True)]
    mean = fmean(differences)
    if len(differences) == 1:
        half = math.inf
    else:
        quantile = float(stats.t.ppf(0.5 + confidence / 2, len(differences) - 1))
        half = quantile * stdev(differences) / math.sqrt(len(differences))
    return Gain(
        mean=mean,
        low=mean - half,
        high=mean + half,
        seeds=len(differences),
        confidence=confidence,
    )


def attribute(
    method: str,
    scores: Sequence[float],
    controls: Mapping[str, Sequence[float]],
    *,
    confidence: float = 0.95,
) -> Attribution:
    """Compare a method with the best of its controls and say which student ships.

    Never worse: a tie goes to the control, the first given among equals, because it needs no
    teacher.

    Args:
        method: name of the distillation arm.
        scores: validation scores of it, one per seed; higher is better.
        controls: name -> scores of the same seeds, for example cross-entropy, label smoothing and
        the
            transform without a teacher.
        confidence: of the interval.

    Raises:
        ConfigError: if there is no control or seeds are missing.
    """
    if not controls:
        raise ConfigError("attribution: no control was trained; a gain without one means nothing")
    means = {name: fmean(values) for name, values in controls.items()}
    best = max(means, key=lambda name: means[name])
    gain = paired_gain(scores, controls[best], confidence=confidence)
    means[method] = fmean(scores)
    return Attribution(
        method=method,
        means=means,
        best_control=best,
        gain=gain,
        exported=method if means[method] > means[best] else best,
    )
