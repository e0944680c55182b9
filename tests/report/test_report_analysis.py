from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.synthetic_costs import LIMITS
from support.synthetic_run import make_run

from hwkd.core.pareto import dominates, pareto_front
from hwkd.report.analysis import (
    best_record,
    rejections_by_limit,
    running_best,
    summarise_spaces,
)
from hwkd.report.axes import cost_axes, log_ticks, scored_trials, staircase

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30)


def test_best_so_far_never_rises_and_ends_at_the_best_trial():
    run, records = make_run()
    rows = running_best(run, records)
    bests = [best for _, _, best in rows]
    assert bests == sorted(bests, reverse=True)
    assert bests[-1] == min(value for _, value, _ in rows)
    before_the_end = run.model_copy(update={"final": None})
    best = best_record(before_the_end, records)
    assert best is not None
    assert best.objective is not None
    assert best.objective.value == bests[-1]


def test_the_trial_that_was_trained_at_full_length_is_the_best():
    run, records = make_run()
    assert run.final is not None
    other = next(r for r in records if r.state == "completed" and r.number != run.final.trial)
    moved = run.model_copy(update={"final": run.final.model_copy(update={"trial": other.number})})
    assert best_record(moved, records) == other


def test_a_pareto_search_is_judged_by_error_alone():
    run, records = make_run()
    objective = run.objective.model_copy(update={"mode": "pareto"})
    pareto = run.model_copy(update={"objective": objective, "final": None})
    best = best_record(pareto, records)
    assert best is not None
    assert best.objective is not None
    errors = [r.objective.task_error for r in records if r.objective]
    assert best.objective.task_error == min(errors)


def test_nothing_completed_has_no_best():
    run, records = make_run()
    before_the_end = run.model_copy(update={"final": None})
    rejected = [record for record in records if record.state == "rejected"]
    assert best_record(before_the_end, rejected) is None
    assert running_best(before_the_end, rejected) == ()


def test_spaces_account_for_every_trial_and_every_point_of_the_front():
    _, records = make_run()
    summaries = summarise_spaces(records, pareto_front(records))
    assert sum(summary.on_front for summary in summaries) == len(pareto_front(records))
    total = sum((Counter(summary.trials) for summary in summaries), Counter())
    assert total == Counter(record.state for record in records)
    for summary in summaries:
        errors = [
            record.objective.task_error
            for record in records
            if record.state == "completed"
            and record.objective
            and record.spec
            and record.spec.space == summary.space
        ]
        assert summary.best_error == min(errors)


def test_rejections_count_each_exceeded_limit_once_per_trial():
    _, records = make_run()
    rows = rejections_by_limit(records)
    rejected = [record for record in records if record.state == "rejected"]
    assert sum(row.exceeded for row in rows) == sum(len(r.violations) for r in rejected)
    assert sum(row.alone for row in rows) == sum(len(r.violations) == 1 for r in rejected)
    for row in rows:
        assert row.limit == LIMITS[row.limit_name]
        assert 0 < row.nearest_ratio <= row.median_ratio <= row.largest_ratio


@given(POINTS)
def test_a_staircase_goes_through_the_undominated_points_only(points):
    front = {p for p in points if not any(dominates(other, p) for other in points)}
    corners = staircase(points)
    assert set(corners[::2]) == front
    assert [x for x, _ in corners] == sorted(x for x, _ in corners)
    assert [y for _, y in corners] == sorted((y for _, y in corners), reverse=True)


def test_logarithmic_ticks_are_one_two_five():
    assert log_ticks(0.6, 25) == [1, 2, 5, 10, 20]


@pytest.mark.parametrize(("limit_s", "is_drawn"), [(0.02, True), (9.0, False)])
def test_a_limit_far_outside_is_named_at_the_edge(limit_s, is_drawn):
    run, records = make_run()
    limits = tuple(
        limit.model_copy(update={"value": limit_s}) if limit.name == "latency" else limit
        for limit in run.device.limits
    )
    moved = run.model_copy(update={"device": run.device.model_copy(update={"limits": limits})})
    latency = cost_axes(moved, scored_trials(records))[0]
    assert (latency.limit_at is not None) == is_drawn
    assert ("off scale" in latency.limit_text) == (not is_drawn)
