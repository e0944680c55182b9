"""The order in which candidates are trained in full: the best, its largest equal, the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hwkd.core.best import judged_value
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.trial import TrialRecord


def finalists(
    ranked: Sequence[TrialRecord], goal: ObjectiveConfig, *, validation_samples: int
) -> tuple[TrialRecord, ...]:
    """Put the largest network that is as good as the best one by validation in second place.

    Large networks gain more from a full training than brief trainings show: of 27 students of
    54,000 pictures a plain one of .42 million multiply-accumulates was best after 9 passes, with a
    validation error of .0807, and a residual one of 2.28 million was the sixth with .0823; trained
    for ten minutes each they reached .924 and .927 on the test set.

    Args:
        ranked: completed trials, best first; at least one.
        goal: what they are ranked by.
        validation_samples: that errors, ratios of samples, are means of. Equals differ by at most
            the standard error of such a mean.
    """
    best, *others = ranked
    if best.objective is None:
        return tuple(ranked)
    error = min(1.0, best.objective.task_error)
    weight = goal.alpha if goal.mode == "weighted" else 1.0
    reach = weight * math.sqrt(error * (1.0 - error) / validation_samples)
    reach += judged_value(goal, best.objective)
    largest = max(
        (r for r in others if r.objective and judged_value(goal, r.objective) <= reach and r.cost),
        key=_macs,
        default=None,
    )
    if largest is None or _macs(largest) <= _macs(best):
        return tuple(ranked)
    return (best, largest, *(record for record in others if record is not largest))


def _macs(record: TrialRecord) -> int:
    return 0 if record.cost is None else record.cost.macs
