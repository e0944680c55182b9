"""The benchmark on tables: volumes are right, and a made-up table is searched to its front."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.search.front_volume import volume
from benchmarks.speed.search_tables import load_scenario, one_search, summary
from benchmarks.speed.table_scenarios import Table


def test_the_volume_of_two_points_is_that_of_their_rectangles():
    costs, accuracy = np.array([[1.0], [3.0]]), np.array([50.0, 80.0])
    # From 1 to 3: 50 - 40 high; from 3 to 5: 80 - 40 high.
    assert volume(costs, accuracy, np.array([5.0]), 40.0) == pytest.approx(2 * 10 + 2 * 40)


def test_the_volume_over_two_costs_equals_its_simulation():
    random = np.random.default_rng(0)
    costs, accuracy = random.random((6, 2)), random.random(6)
    places = random.random((200_000, 2))
    reached = np.where(np.all(costs[None] <= places[:, None], axis=2), accuracy - 0.2, 0.0)
    simulated = np.maximum(reached, 0).max(1).mean()
    assert volume(costs, accuracy, np.ones(2), 0.2) == pytest.approx(simulated, rel=0.02)


def made_table() -> Table:
    params = np.array(list(product(range(4), repeat=4)))
    size = params.sum(1)
    accuracy = 40.0 + 10.0 * np.log1p(size) + 3.0 * (params[:, 0] == 2)
    return Table(
        name="made", names=("a", "b", "c", "d"), choices=(("0", "1", "2", "3"),) * 4,
        params=params, costs=np.c_[1.0 + size + 0.1 * params[:, 1]], mean=accuracy,
        obs=np.c_[accuracy, accuracy], key=np.arange(len(params)),
        graph=np.c_[np.log1p(size), np.log1p(params[:, 1]), size],
    )  # fmt: skip


@pytest.fixture
def scenario():
    table, limits = made_table(), np.array([9.0])
    fits = table.costs[:, 0] <= limits[0]
    full = volume(table.costs[fits], table.mean[fits], limits, 40.0)
    return SimpleNamespace(
        problem_tables={"made": table}, limits=limits, floor=40.0, objectives=1, full_hv=full
    )


@pytest.mark.parametrize("mode", ["pareto", "weighted"])
def test_a_made_up_table_is_searched_and_only_trainings_count(scenario, mode):
    found = one_search(scenario, seed=0, mode=mode, budget=40)
    # In pareto mode the front counts, in weighted mode its most accurate network.
    assert found["to_95" if mode == "pareto" else "to_best"] <= 40
    assert found["trained"] <= 40


def test_a_search_that_does_not_arrive_counts_as_more_than_allowed():
    runs = [
        {"to_95": to_95, "to_best": 3, "covered": (3, 4), "ask_s": 0.01} for to_95 in (5, 7, None)
    ]
    found = summary(runs, budget=200)
    assert (found["median_to_95"], found["worst"], found["coverage_80"]) == (7, 201, 0.75)


def test_scenarios_may_come_from_a_file(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("def make(name):\n    return name + '!'\n", encoding="utf-8")
    assert load_scenario("mine", None, path) == "mine!"
