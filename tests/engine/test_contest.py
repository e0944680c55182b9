"""Which full trainings compete with the brief weights of a search."""

from types import SimpleNamespace
from typing import Any

import pytest

from hwkd.core.objective import ObjectiveConfig
from hwkd.core.trial import ObjectiveRecord
from hwkd.engine.arms.contest import contenders

GOAL = ObjectiveConfig(mode="weighted", alpha=1.0, beta=0.0, gamma=0.0)


def terms(error):
    return ObjectiveRecord(task_error=error, divergence=0.0, latency_overrun=0.0, value=error)


@pytest.mark.parametrize(
    ("samples", "error", "goes_on", "competes"),
    [
        (1000, 0.09, "", True),
        (990, 0.04, "", True),
        (990, 0.09, "", False),
        (990, 0.09, "trial 0", True),
    ],
)
def test_a_shorter_full_training_competes_only_where_it_is_better_or_goes_on(
    samples, error, goes_on, competes
):
    spec = SimpleNamespace(key="k")
    brief: Any = SimpleNamespace(
        number=0, spec=spec, objective=terms(0.06), methods=(), epochs=(), epochs_made=2.0,
        fidelity="brief",
    )  # fmt: skip
    order: Any = SimpleNamespace(
        name="labels", spec=spec, arm="labels alone", epochs=2, budget_s=None,
        goes_on=goes_on,
    )  # fmt: skip
    result: Any = SimpleNamespace(samples_seen=samples, objective=terms(error), varied_error=None)
    context: Any = SimpleNamespace(epoch_samples=lambda fidelity: 500)
    found = contenders([brief], {"labels": (order, result)}, context, GOAL)
    assert [one.weights for one in found] == ["brief", *["full"] * competes]
