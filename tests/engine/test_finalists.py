"""Which networks are trained in full, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.synthetic_run import make_run

from hwkd.core.objective import ObjectiveConfig
from hwkd.engine.search.finalists import finalists

GOAL = ObjectiveConfig(mode="weighted", alpha=1.0, beta=0.0, gamma=0.0, target_latency_s=1.0)


@pytest.fixture(scope="module")
def completed():
    return [r for r in make_run()[1] if r.state == "completed" and r.objective and r.cost][:4]


def ranked(completed, *candidates):
    """Return records with the errors, multiply-accumulates and passes given."""
    return tuple(
        record.model_copy(
            update={
                "epochs_made": passes[0] if passes else 9.0,
                "objective": record.objective.model_copy(
                    update={"task_error": error, "value": error, "divergence": 0.0}
                ),
                "cost": replace(record.cost, macs=macs),
            }
        )
        for record, (error, macs, *passes) in zip(completed, candidates, strict=False)
    )


def order(found, candidates):
    return [candidates.index(record) for record in found]


def test_the_largest_of_those_that_luck_may_have_put_behind_the_best_comes_second(completed):
    # The standard error of .08 on 6,000 samples is .0035, about the luck of the best of four.
    four = ranked(completed, (0.080, 4), (0.081, 5), (0.083, 20), (0.084, 90))
    assert order(finalists(four, GOAL, validation_samples=6_000), four) == [0, 2, 1, 3]


def test_a_large_network_that_was_stopped_early_is_judged_by_the_passes_it_made(completed):
    # Half the passes: .0915 would have become .0813.
    four = ranked(completed, (0.080, 4), (0.081, 5), (0.0915, 90, 4.5), (0.1, 95, 9.0))
    assert order(finalists(four, GOAL, validation_samples=6_000), four) == [0, 2, 1, 3]


@pytest.mark.parametrize(
    "candidates",
    [
        [(0.080, 4), (0.081, 3), (0.082, 2)],  # the best one is the largest
        [(0.080, 4), (0.100, 50)],  # the larger one is worse
        [(0.080, 4)],
        [(0.0, 4), (0.001, 9)],  # without errors nothing is uncertain
    ],
)
def test_otherwise_they_stay_as_they_are_ranked(completed, candidates):
    given = ranked(completed, *candidates)
    assert finalists(given, GOAL, validation_samples=6_000) == given
