"""Which trial is best: one rule for engine, report and live display.

Weighted mode ranks by `alpha * task + beta * KD + gamma * overrun` of the weights in force at the
end: a teacher that was left out has a beta of 0 for every trial, the earlier ones too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hwkd.core.objective import ObjectiveConfig
from hwkd.core.pareto import pareto_front
from hwkd.core.trial import ObjectiveRecord, TrialRecord


class Weights(Protocol):
    """The weights of the three terms."""

    @property
    def alpha(self) -> float:
        """Return the weight of the task error."""

    @property
    def beta(self) -> float:
        """Return the weight of the divergence from the teacher."""

    @property
    def gamma(self) -> float:
        """Return the weight of the overrun."""


def weighted_value(goal: Weights, terms: ObjectiveRecord) -> float:
    """Return the weighted sum of the three terms; smaller is better."""
    return (
        goal.alpha * terms.task_error
        + goal.beta * terms.divergence
        + goal.gamma * terms.latency_overrun
    )


def judged_value(goal: ObjectiveConfig, terms: ObjectiveRecord) -> float:
    """Return the one number by which networks are ranked, smaller is better.

    It is the weighted sum, or the validation error (0 to 1) when the search looked for a Pareto
    front and no weights were in force.
    """
    return weighted_value(goal, terms) if goal.mode == "weighted" else terms.task_error


def error_weight(goal: ObjectiveConfig) -> float:
    """Return by how much the one number grows with the validation error."""
    return goal.alpha if goal.mode == "weighted" else 1.0


def ranked_trials(goal: ObjectiveConfig, records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Return the completed trials, best first.

    Weighted mode: all of them. Pareto mode: those on the front, smallest error first, the fastest
    of equals.
    """
    completed = [r for r in records if r.state == "completed" and r.objective is not None]
    if goal.mode == "pareto":
        by_number = {record.number: record for record in completed}
        front = sorted(pareto_front(completed), key=lambda point: (point.error, point.latency_s))
        return tuple(by_number[point.trial] for point in front)
    judged = [(judged_value(goal, r.objective), r.number, r) for r in completed if r.objective]
    return tuple(record for _, _, record in sorted(judged, key=lambda entry: entry[:2]))
