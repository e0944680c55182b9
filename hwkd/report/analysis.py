"""What a report derives from records: the best trial, how spaces compare, what was rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from hwkd.core.best import judged_value, ranked_trials
from hwkd.core.choices import LimitName
from hwkd.core.pareto import FrontPoint, fastest_first, point_of
from hwkd.core.run_record import RunRecord
from hwkd.core.score_interval import ScoreInterval, score_intervals
from hwkd.core.trial import TrialRecord, TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSummary:
    """How one search space did.

    Attributes:
        best_error: lowest validation error of an int8 student, 0 to 1; None without a completed
            trial.
        fastest_s: lowest latency of a completed trial, s.
    """

    space: str
    trials: dict[TrialState, int]
    on_front: int
    best_error: float | None
    best_trial: int | None
    median_error: float | None
    fastest_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRejections:
    """Rejected trials that exceeded one limit.

    Attributes:
        limit: s, bytes or J.
        nearest_ratio: smallest excess (0.02 is 2% over).
    """

    limit_name: LimitName
    limit: float
    exceeded: int
    alone: int
    nearest_ratio: float
    median_ratio: float
    largest_ratio: float


def intervals_on_test(run: RunRecord) -> dict[str, ScoreInterval]:
    """Return how far the int8 scores on test may be off, by metric; none where that is unknown."""
    if run.final is None:
        return {}
    examples = sum(split.samples for split in run.data.splits if split.name == "test")
    final = run.final
    return score_intervals(run.data.metrics, final.scores.test_int8, examples, final.confusion)


def count_state(records: Sequence[TrialRecord], state: TrialState) -> int:
    """Count trials in a state."""
    return sum(record.state == state for record in records)


def best_record(run: RunRecord, records: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the trial whose network was trained in full, else the best so far, else None."""
    if run.final is not None:
        number = run.final.trial
        return next((record for record in records if record.number == number), None)
    return next(iter(ranked_trials(run.objective, records)), None)


def front_and_best(front: Sequence[FrontPoint], best: TrialRecord | None) -> tuple[FrontPoint, ...]:
    """Return the front and, where others dominate it, the best trial, fastest first."""
    point = None if best is None else point_of(best)
    if point is None or point.trial in {other.trial for other in front}:
        return tuple(front)
    return fastest_first((*front, point))


def passes_made(run: RunRecord, record: TrialRecord) -> float | None:
    """Return how often a candidate's training saw the train split; None where it is unknown."""
    train = next((split.samples for split in run.data.splits if split.name == "train"), 0)
    if record.epochs_made is None or train == 0:
        return None
    drawn = None if record.fidelity is None else record.fidelity.samples
    return record.epochs_made * min(train, drawn or train) / train


def running_best(
    run: RunRecord, records: Sequence[TrialRecord]
) -> tuple[tuple[int, float, float], ...]:
    """Return (trial, its value, best value until then) for each completed trial, in order."""
    rows: list[tuple[int, float, float]] = []
    best = float("inf")
    for record in records:
        if record.state != "completed" or record.objective is None:
            continue
        value = judged_value(run.objective, record.objective)
        best = min(best, value)
        rows.append((record.number, value, best))
    return tuple(rows)


def summarise_spaces(
    records: Sequence[TrialRecord], front: Sequence[FrontPoint]
) -> tuple[SpaceSummary, ...]:
    """Compare the search spaces, by name; a trial without a spec belongs to none."""
    fronts = [point.space for point in front]
    spaces = sorted({record.spec.space for record in records if record.spec is not None})
    return tuple(_summarise(space, records, fronts.count(space)) for space in spaces)


def rejections_by_limit(records: Sequence[TrialRecord]) -> tuple[LimitRejections, ...]:
    """Say which limits rejected trials and by how much, the most frequent first."""
    excesses: dict[LimitName, list[float]] = {}
    alone: dict[LimitName, int] = {}
    limits: dict[LimitName, float] = {}
    for record in records:
        if record.state != "rejected":
            continue
        for violation in record.violations:
            name = violation.limit_name
            limits[name] = violation.limit
            excesses.setdefault(name, []).append(violation.excess_ratio)
            alone[name] = alone.get(name, 0) + (len(record.violations) == 1)
    rows = [
        LimitRejections(
            limit_name=name,
            limit=limits[name],
            exceeded=len(ratios),
            alone=alone[name],
            nearest_ratio=min(ratios),
            median_ratio=median(ratios),
            largest_ratio=max(ratios),
        )
        for name, ratios in excesses.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.exceeded, row.limit_name)))


def _summarise(space: str, records: Sequence[TrialRecord], on_front: int) -> SpaceSummary:
    own = [record for record in records if record.spec is not None and record.spec.space == space]
    scored = [
        (error, r) for r in own if r.state == "completed" and (error := _error(r)) is not None
    ]
    best = min(scored, key=lambda pair: (pair[0], pair[1].number), default=None)
    latencies = [latency for _, r in scored if (latency := r.latency_s) is not None]
    states: tuple[TrialState, ...] = ("completed", "rejected", "duplicate", "failed")
    return SpaceSummary(
        space=space,
        trials={state: count_state(own, state) for state in states},
        on_front=on_front,
        best_error=best[0] if best else None,
        best_trial=best[1].number if best else None,
        median_error=median(error for error, _ in scored) if scored else None,
        fastest_s=min(latencies, default=None),
    )


def _error(record: TrialRecord) -> float | None:
    return None if record.objective is None else record.objective.task_error
