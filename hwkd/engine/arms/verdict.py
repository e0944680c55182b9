"""Which of the trained students ships, and what its methods were worth; pure.

Never a worse student than the run already holds: everything is judged on validation by the int8
file. The best of many is partly lucky, so a mean over seeds decides where there are several, among
students with as many, and the best of many brief trainings has to beat a full one by more than
that luck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal, TypeAlias

from scipy.special import ndtri, stdtrit

from hwkd.core.errors import ConfigError
from hwkd.core.metric import ACCURACY, Metric
from hwkd.core.verdict_record import ArmRecord, Gain

_CONFIDENCE = 0.95  # of the interval of a gain

Weights: TypeAlias = Literal["brief", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A trained student that meets every limit.

    Attributes:
        name: of the training, unique.
        weights: of the brief training of the search, or of a full one.
        arm: how it was trained: arm and length; repetitions differ in the seed alone.
        value: the run's own objective on validation, int8; smaller is better.
        steadier: the same with the error on more examples, varied ones; None if it is not known.
        is_taught: of a full training, whether a teacher took part.
        error: the validation error in `value`, 0 to 1; None where it is not known apart.
        told: what it is, for people.
    """

    name: str
    network: str
    weights: Weights
    arm: str
    value: float
    steadier: float | None = None
    is_taught: bool = False
    error: float | None = None
    told: str = ""


def expected_luck(compared: int, deviation: float) -> float:
    """Return by how much the best of equals looks better than it is.

    It is the expected maximum of as many normal variables, by Blom's approximation (Statistical
    Estimates and Transformed Beta-Variables, 1958, section 6.9): 0 of one, 1.8 deviations of 18.

    Args:
        compared: how many, at least 1.
        deviation: standard error of each one's value, in its unit.
    """
    return deviation * float(ndtri((compared - 0.375) / (compared + 0.25)))


def shipping(contenders: Sequence[Contender], *, deviation: float = 0.0) -> Contender:
    """Return the one that ships.

    Of the full trainings, the arm of one network with the best mean, among those with the most
    seeds; of its seeds the best. They are compared on varied examples where all have answered
    them. A tie goes to the arm without a teacher, which needs none. Brief
    weights ship when they are better than that student by more than the luck of the best of them.

    Args:
        contenders: at least one.
        deviation: standard error of a value on validation.
    """
    arms: dict[tuple[str, str], list[Contender]] = {}
    for contender in contenders:
        if contender.weights == "full":
            arms.setdefault((contender.network, contender.arm), []).append(contender)
    brief = [contender for contender in contenders if contender.weights == "brief"]
    best_brief = min(brief, key=lambda contender: contender.value, default=None)
    if not arms:
        if best_brief is None:
            raise ValueError("nothing was trained")
        return best_brief
    most = max(len(arm) for arm in arms.values())
    complete = [arm for arm in arms.values() if len(arm) == most]
    steadily = all(c.steadier is not None for arm in complete for c in arm)

    def judged(contender: Contender) -> float:
        return contender.steadier or 0.0 if steadily else contender.value

    winner = min(complete, key=lambda arm: (fmean(map(judged, arm)), arm[0].is_taught))
    best_full = min(winner, key=judged)
    if best_brief is None:
        return best_full
    beaten = best_brief.value + expected_luck(len(brief), deviation) < best_full.value
    return best_brief if beaten else best_full


def gain_over_controls(arms: Sequence[ArmRecord], metric: Metric = ACCURACY) -> Gain | None:
    """Return what the methods gained on the test split over the control best on validation.

    The control is picked by scores that are close to those it is then compared on, which makes a
    gain look smaller than it is, never larger.

    Args:
        arms: what was asked for first; None comes of it alone, or of scores that are unknown.
    """
    if len(arms) < 2:
        return None
    seeds = min(len(arm.scores) for arm in arms)
    asked_for, controls = arms[0], {arm.name: arm for arm in arms[1:]}
    validation: dict[str, list[float]] = {}
    for name, control in controls.items():
        known = [
            metric.gain(s.validation_int8, 0.0)
            for s in control.scores[:seeds]
            if s.validation_int8 is not None
        ]
        if len(known) < seeds or not known:
            return None
        validation[name] = known
    over = best_control(validation)
    theirs = controls[over].test_int8[:seeds]
    return gain_in(metric, asked_for.test_int8[:seeds], theirs, over=over)


def best_control(validation: Mapping[str, Sequence[float]]) -> str:
    """Return the control with the highest mean, the first given among equals.

    Args:
        validation: name -> scores, for example of cross-entropy and label smoothing.

    Raises:
        ConfigError: if there is none.
    """
    if not validation:
        raise ConfigError("attribution: no control was trained; a gain without one means nothing")
    return max(validation, key=lambda name: fmean(validation[name]))


def gain_in(
    metric: Metric, scores: Sequence[float], baseline: Sequence[float], *, over: str
) -> Gain:
    """Return `paired_gain` of scores in a metric's own direction."""
    ours, theirs = ([metric.gain(score, 0.0) for score in part] for part in (scores, baseline))
    return paired_gain(ours, theirs, over=over)


def paired_gain(scores: Sequence[float], baseline: Sequence[float], *, over: str = "") -> Gain:
    """Return the mean of scores - baseline, seed by seed, with its Student-t interval.

    Args:
        scores: one per seed, higher is better.
        baseline: of the same seeds in the same order.

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
    low = high = None
    if len(differences) > 1:
        quantile = float(stdtrit(len(differences) - 1, 0.5 + _CONFIDENCE / 2))
        half = quantile * stdev(differences) / math.sqrt(len(differences))
        low, high = mean - half, mean + half
    return Gain(
        over=over,
        mean=mean,
        low=low,
        high=high,
        seeds=len(differences),
        confidence=_CONFIDENCE,
        verdict=_verdict(low, high),
    )


def _verdict(low: float | None, high: float | None) -> str:
    """Say whether the interval excludes 0."""
    if low is not None and low > 0:
        return "gain"
    return "loss" if high is not None and high < 0 else "no difference shown"
