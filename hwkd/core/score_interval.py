"""How far a score on so many examples may be from the score on all of their kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hwkd.core.arrays import Doubles, Ints
from hwkd.core.decision_record import Confusion
from hwkd.core.metric import (
    ACCURACY,
    AVERAGE_PRECISION,
    BALANCED_ACCURACY,
    MACRO_F1,
    Metric,
    Scores,
)
from hwkd.core.strict_model import StoredInt, StrictModel

_CONFIDENCE = 0.95
_NORMAL_QUANTILE = 1.959963984540054  # of (1 + _CONFIDENCE) / 2
# The ends of 2,000 redrawn tables repeat within a tenth of the interval's width.
_REDRAWN = 2_000


class ScoreInterval(StrictModel):
    """Where the score on endlessly many such examples lies.

    Attributes:
        low: in the metric's unit.
        high: likewise.
        confidence: 0 to 1.
        examples: that were answered.
        made_by: "Wilson" or "bootstrap".
    """

    low: float
    high: float
    confidence: float = _CONFIDENCE
    examples: StoredInt
    made_by: str

    def text(self, metric: Metric) -> str:
        """Return it with its number of examples, for people."""
        ends = f"{metric.text(self.low)} to {metric.text(self.high)}"
        return f"{self.confidence * 100:.0f} % interval {ends}, {self.examples:,} examples"


def score_intervals(
    metrics: Sequence[Metric], scores: Scores | None, examples: int, confusion: Confusion = ()
) -> dict[str, ScoreInterval]:
    """Return the 95 % intervals of scores of classes, by metric.

    Args:
        metrics: all of the task. Where there are others than those of single answers (recordings
            cut into windows, sounds in a stream) examples depend on each other: nothing is known.
        scores: of them, 0 to 1; None has no intervals.
        examples: that were answered.
        confusion: how often each class was named for which; without it the answers are unknown.

    Returns:
        Wilson's interval of an accuracy; of a mean over classes the middle of what redrawn answers
        give, and nothing where no answer is wrong: redrawing shows no spread then.

    Source:
        Wilson 1927, Journal of the American Statistical Association 22, 209-212.
    """
    single = {ACCURACY.name, *_OF_COUNTS}
    if examples < 1 or scores is None or any(metric.name not in single for metric in metrics):
        return {}
    ends: dict[str, tuple[str, tuple[float, float]]] = {}
    if 0.0 <= scores.get(ACCURACY.name, -1.0) <= 1.0:
        ends[ACCURACY.name] = ("Wilson", _wilson(scores[ACCURACY.name], examples))
    if _holds_all(confusion, examples):
        counts = np.array(confusion, dtype=np.int64)
        if counts.trace() < examples:
            ends |= {name: ("bootstrap", _redrawn(of, counts)) for name, of in _OF_COUNTS.items()}
    return {
        metric.name: ScoreInterval(low=low, high=high, examples=examples, made_by=made_by)
        for metric in metrics
        if metric.name in ends
        for made_by, (low, high) in [ends[metric.name]]
    }


def scores_by_chance(metrics: Sequence[Metric], confusion: Confusion) -> dict[str, float]:
    """Return what scores at random reach, by metric, where that is the data's and no constant.

    Args:
        confusion: of normal examples and anomalies, whose share is the average precision.
    """
    counts = [sum(row) for row in confusion]
    if AVERAGE_PRECISION not in metrics or len(counts) != 2 or not sum(counts):
        return {}
    return {AVERAGE_PRECISION.name: counts[1] / sum(counts)}


def _holds_all(confusion: Confusion, examples: int) -> bool:
    """Tell whether a table of a record, which may be damaged, is of so many answers."""
    is_square = {len(row) for row in confusion} == {len(confusion)}
    cells = [count for row in confusion for count in row]
    return is_square and min(cells) >= 0 and sum(cells) == examples


def _redrawn(score: Callable[[Ints], Doubles], counts: Ints) -> tuple[float, float]:
    """Return the ends of a score over tables of as many answers, drawn from those of a table."""
    examples = int(counts.sum())
    drawn = np.random.default_rng(0).multinomial(
        examples, counts.reshape(-1) / examples, size=_REDRAWN
    )
    scores = score(drawn.reshape(-1, *counts.shape))
    low, high = np.quantile(scores, [0.5 - _CONFIDENCE / 2, 0.5 + _CONFIDENCE / 2])
    return float(low), float(high)


def _wilson(share: float, examples: int) -> tuple[float, float]:
    spread = _NORMAL_QUANTILE**2 / examples
    middle = share + spread / 2
    half = math.sqrt(spread * (share * (1.0 - share) + spread / 4))
    return max(0.0, (middle - half) / (1.0 + spread)), min(1.0, (middle + half) / (1.0 + spread))


def balanced_accuracy(counts: Ints) -> Doubles:
    """Return the mean over classes that were given of the share found, shape [...].

    Args:
        counts: [..., class given, class named].
    """
    return _mean_of_given(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts)


def macro_f1(counts: Ints) -> Doubles:
    """Return the mean over classes that were given of their F1, shape [...].

    Args:
        counts: [..., class given, class named].
    """
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    return _mean_of_given(2 * right, counts.sum(axis=-1) + counts.sum(axis=-2), counts)


def _mean_of_given(parts: Ints, wholes: Ints, counts: Ints) -> Doubles:
    is_given = counts.sum(axis=-1) > 0
    shares = np.where(is_given, parts / np.maximum(1, wholes), 0.0)
    mean: Doubles = shares.sum(axis=-1) / is_given.sum(axis=-1)
    return mean


_OF_COUNTS: Mapping[str, Callable[[Ints], Doubles]] = {
    BALANCED_ACCURACY.name: balanced_accuracy,
    MACRO_F1.name: macro_f1,
}
