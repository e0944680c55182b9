"""The order in which candidates are trained in full: the best, its largest equal, the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hwkd.core.best import error_weight, judged_value
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.trial import TrialRecord
from hwkd.engine.arms.verdict import expected_luck

# Errors fall with the passes made to the power of so much: .0962 after 6.5 became .0618 after 70
# (.19), .087 after 9 in a smaller network .0675 after 50 (.15); of a detector of 13 million
# multiply-accumulates .699 after 2 became .383 after 53 (.19), of one of 4 million .557 after 6
# became .447 after 78 (.09).
ERROR_BY_PASSES = 0.17


def finalists(
    ranked: Sequence[TrialRecord], goal: ObjectiveConfig, *, validation_samples: int
) -> tuple[TrialRecord, ...]:
    """Put the largest network that may be as good as the best one in second place.

    Large networks gain more from a full training than brief trainings show, which often end early
    for them: of 27 students of 54,000 pictures a plain one of .42 million multiply-accumulates was
    best after 9 passes, with a validation error of .0807, and a residual one of 2.28 million, after
    8, the sixth with .0823. Trained for ten minutes they reached .924 and .928 on the test set.

    Args:
        ranked: completed trials, best first; at least one.
        goal: what they are ranked by.
        validation_samples: that errors, shares, are of. The best of many looks better than it is
            by about its luck; networks that close to it, at equal passes, may be as good. Errors of
            positions and boxes, of which a sample has many, scatter less: more networks may be.
    """
    best, *others = ranked
    if best.objective is None:
        return tuple(ranked)
    error = min(1.0, best.objective.task_error)
    deviation = error_weight(goal) * math.sqrt(error * (1.0 - error) / validation_samples)
    reach = judged_value(goal, best.objective) + expected_luck(len(ranked), deviation)
    largest = max(
        (r for r in others if _at_passes_of(best, r, goal) <= reach), key=_macs, default=None
    )
    if largest is None or _macs(largest) <= _macs(best):
        return tuple(ranked)
    return (best, largest, *(record for record in others if record is not largest))


def _at_passes_of(best: TrialRecord, record: TrialRecord, goal: ObjectiveConfig) -> float:
    """Return what a candidate is judged by, had it made as many passes as the best one."""
    if record.objective is None:
        return math.inf
    missed = max(1.0, _passes(best) / _passes(record))
    left: float = missed**-ERROR_BY_PASSES
    error = record.objective.task_error
    return judged_value(goal, record.objective) - error_weight(goal) * error * (1.0 - left)


def _passes(record: TrialRecord) -> float:
    return max(1e-9, len(record.epochs) if record.epochs_made is None else record.epochs_made)


def _macs(record: TrialRecord) -> int:
    return 0 if record.cost is None else record.cost.macs
