from __future__ import annotations

import itertools
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_records import completed

from benchmarks.lib.hypervolume import hypervolume
from hwkd.core.pareto import dominates, pareto_front

# Few distinct values, so that ties and equal points are common.
POINT = st.tuples(*(st.integers(0, 3) for _ in range(4)))


def records_of(points):
    return [
        completed(i, error=0.1 * e, latency_s=0.001 * (1 + t), ram=r, flash=f)
        for i, (e, t, r, f) in enumerate(points)
    ]


@given(st.lists(POINT, max_size=14))
def test_the_front_is_what_brute_force_finds(points):
    best = {
        p
        for p in points
        if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points)
    }
    front = pareto_front(records_of(points))
    assert {points[point.trial] for point in front} == best
    assert len(front) == len(best)


@given(st.lists(POINT, max_size=14))
def test_the_front_is_sorted_by_latency_and_keeps_the_first_of_equals(points):
    front = pareto_front(records_of(points))
    assert [p.latency_s for p in front] == sorted(p.latency_s for p in front)
    assert all(points.index(points[p.trial]) == p.trial for p in front)


@given(st.lists(POINT, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_the_records_does_not_matter(points, random):
    records = records_of(points)
    shuffled = random.sample(records, len(records))
    assert pareto_front(records) == pareto_front(shuffled)


@given(POINT, POINT)
def test_of_two_points_at_most_one_dominates(a, b):
    assert not (dominates(a, b) and dominates(b, a))
    assert not dominates(a, a)


def test_only_completed_trials_with_a_latency_are_points():
    good = completed(0)
    others = [
        good.model_copy(update={"number": 1, "state": state})
        for state in ("rejected", "duplicate", "failed")
    ]
    unknown = completed(4, error=0.0, latency_s=None)
    assert [p.trial for p in pareto_front([*others, unknown, good])] == [0]


def test_a_chain_of_trade_offs_is_the_front():
    points = [(3 - i, i, 0, 0) for i in range(4)]
    assert [p.trial for p in pareto_front(records_of(points))] == [0, 1, 2, 3]
    assert not any(dominates(a, b) for a, b in itertools.permutations(points, 2))


UNIT = (1.0, 1.0, 1.0, 1.0)
REAL_POINTS = st.lists(st.tuples(*[st.floats(0, 1.2)] * 4), max_size=5)


def test_one_point_dominates_its_box() -> None:
    assert hypervolume([(0.5, 1.0, 4.0, 2.0)], (1.0, 2.0, 8.0, 8.0)) == pytest.approx(
        0.5**3 * 0.75 * 128
    )


def test_a_point_outside_the_reference_counts_for_nothing() -> None:
    assert hypervolume([(0.1, 0.1, 0.1, 1.0)], UNIT) == 0.0
    assert hypervolume([], UNIT) == 0.0


@given(REAL_POINTS)
def test_hypervolume_is_that_of_inclusion_and_exclusion(front: list[tuple[float, ...]]) -> None:
    wanted = 0.0
    for size in range(1, len(front) + 1):
        for chosen in combinations(front, size):
            corner = np.minimum(np.max(chosen, axis=0), 1.0)
            wanted -= (-1) ** size * float(np.prod(1.0 - corner))
    assert hypervolume(front, UNIT) == pytest.approx(wanted, abs=1e-9)
