"""What the end of a search may take, and what its trainings need: by the pace of the candidates."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hwkd.core.objective import ObjectiveConfig
from hwkd.core.trial import TrialRecord
from hwkd.engine.arms.contest import samples_seen
from hwkd.engine.search.end_needs import fresh_s, further_s, trained_s
from hwkd.engine.setup.context import SearchContext

# Further training gains little from there on; another network in the same time gains more. Of a
# small set more passes are as many samples: on 1,800 pictures of things before clutter one network
# was right .370 after 180,000 samples and .498 after 720,000.
_ENOUGH_PASSES, _ENOUGH_SAMPLES = 120, 500_000
# What errs much gains more by going on: on 1,680 pictures of weld seams a network was right
# .79 after 300,000 samples and .86 after 1,200,000 (.73 and .79 of those from other cameras). Of
# 12,000 scenes outlined a network reached a mean IoU of .320, .330, .333 and .343 on validation
# after 6, 14, 35 and 52 passes: what lies between two lengths is worth less than another network.
_MUCH, _ENOUGH_OF_HARD = 0.15, 1_000_000
# What the brief weights may take, in times of what scoring a candidate took: variants and the test.
# Under a limit that is while others train: then nothing but measuring what ships follows.
BRIEF_SCORINGS, LAST_SCORINGS = 5.0, 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What the last trainings may take.

    Attributes:
        epochs: of every training, at most.
        seeds: over which the best student and its controls are trained; 0 trains it once.
        end_s: when the stage must be over, by `time.monotonic`; None is no bound.
        is_again: what the run folder holds from earlier ends may be gone on with.
        start_up_s: what a process takes to start and read the data.
    """

    goal: ObjectiveConfig
    has_teacher: bool
    epochs: int
    seeds: int
    end_s: float | None = None
    is_again: bool = False
    start_up_s: float = 0.0

    def left_s(self) -> float:
        """Return how long one training may take; infinite without a bound."""
        if self.end_s is None:
            return math.inf
        return self.end_s - time.monotonic() - self.start_up_s


def not_affordable(ranked: Sequence[TrialRecord], ending: Ending) -> tuple[str, ...]:
    """Say that there is no time for a training that deserves the name of a full one.

    Args:
        ranked: completed trials, best first; at least one.
    """
    left_s, needed_s = ending.left_s(), fresh_s(ranked)
    if left_s >= needed_s:
        return ()
    return (
        f"the full training: {max(0.0, left_s):.0f} s were left, and one that is longer than the "
        f"brief training needs {needed_s:.0f} s",
    )


def may_go_on(ranked: Sequence[TrialRecord], ending: Ending) -> bool:
    """Tell whether there is time to train further what a candidate learned."""
    return ending.end_s is not None and ending.left_s() >= further_s(ranked)


def sample_s(record: TrialRecord, context: SearchContext) -> float:
    """Return the seconds of training a sample took."""
    return trained_s(record) / max(1, samples_seen(record, context))


def judged_by_share(context: SearchContext) -> bool:
    """Tell whether an error is the share of answers that is wrong, which training lowers.

    One that is no share, or of how anomalies rank, says nothing about what is left to learn.
    """
    head = context.data.head
    return head.metrics[0].is_share and (head.kind.of_classes or head.kind.of_maps)


def is_hard(best: TrialRecord, context: SearchContext) -> bool:
    """Tell whether so much is wrong after a brief training that a longer one decides the most."""
    error = 0.0 if best.objective is None else best.objective.task_error
    return _errs_much(error, context)


def _errs_much(error: float, context: SearchContext) -> bool:
    return judged_by_share(context) and error > _MUCH


def enough_samples(error: float, context: SearchContext) -> int:
    """Return after how many samples a training has converged: further ones gain little.

    Args:
        error: on validation, 0 is best; what errs much gains longer.
    """
    enough = _ENOUGH_OF_HARD if _errs_much(error, context) else _ENOUGH_SAMPLES
    return max(_ENOUGH_PASSES * len(context.data.train), enough)


def rounds_in(best: TrialRecord, context: SearchContext, left_s: float, *, orders: int) -> int:
    """Return how many trainings may follow one another, each long enough to have converged."""
    error = 0.0 if best.objective is None else best.objective.task_error
    converged_s = enough_samples(error, context) * sample_s(best, context)
    most = -(-orders // context.config.processes)
    return max(1, min(most, int(left_s / converged_s)))
