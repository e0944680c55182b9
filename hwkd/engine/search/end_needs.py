"""What the trainings that end a search need, by what its candidates took: arithmetic on records.

It is asked before anything is imported that trains.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwkd.core.trial import TrialRecord

# A full training has at least so many times the brief one's time, or it is left out.
_LONGER_THAN_BRIEF = 1.2
# The first scoring of a process, and what is kept for one; those after it, and what each takes of
# the first where only that is known.
_FIRST_SCORINGS, _FURTHER_SCORINGS, _USUAL_SCORING = 2.0, 5.0, 0.3
# Of the training that made weights, what going on with them takes at least to change them.
_LEAST_RATIO, _LEAST_S = 0.1, 1.0


def least_end_s(ranked: Sequence[TrialRecord], *, has_scheme: bool) -> float:
    """Return what the end of a run needs for a training that may better what the folder holds.

    Args:
        ranked: completed trials, best first; at least one. So it is below.
        has_scheme: its phases begin afresh; nothing goes on.
    """
    return fresh_s(ranked) if has_scheme else further_s(ranked)


def fresh_s(ranked: Sequence[TrialRecord]) -> float:
    """Return what a training from the start takes that deserves the name of a full one.

    It is a process of its own, which judges an untrained student first, to know how long that
    takes, and the trained one in a few forms; each first time takes as long as the slowest did.
    """
    return _LONGER_THAN_BRIEF * trained_s(ranked[0]) + _scorings_s(ranked)


def further_s(ranked: Sequence[TrialRecord]) -> float:
    """Return what a training takes that goes on with the weights of the best, and betters them."""
    return max(_LEAST_S, _LEAST_RATIO * trained_s(ranked[0])) + _scorings_s(ranked)


def trained_s(record: TrialRecord) -> float:
    """Return what training a candidate took; of an older version with all that followed."""
    return record.training_s or record.duration_s


def scoring_s(record: TrialRecord) -> float:
    """Return what exporting, quantising and scoring a candidate took."""
    return max(0.0, record.duration_s - trained_s(record))


def _scorings_s(ranked: Sequence[TrialRecord]) -> float:
    taken = [scoring_s(record) for record in ranked]
    usual_s = min(taken) if len(taken) > 1 else _USUAL_SCORING * taken[0]
    return _FIRST_SCORINGS * max(taken) + _FURTHER_SCORINGS * usual_s
