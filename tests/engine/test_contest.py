"""Which full trainings compete with the brief weights of a search."""

from types import SimpleNamespace
from typing import Any

import pytest

from hwkd.core.objective import ObjectiveConfig
from hwkd.core.trial import ObjectiveRecord
from hwkd.distill.spec import parse_methods
from hwkd.engine.arms.contest import contenders
from hwkd.engine.arms.recipes import arm_of_trial
from hwkd.engine.setup.methods import configured_scheme
from hwkd.io.discovery import output_kind

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
        goes_on=goes_on, trial=0, repetition=0,
    )  # fmt: skip
    result: Any = SimpleNamespace(
        epochs=2,
        epochs_judged=None,
        samples_seen=samples,
        objective=terms(error),
        varied_error=None,
    )
    found = contenders([brief], {"labels": (order, result)}, context_of(), GOAL)
    assert [one.weights for one in found] == ["brief", *["full"] * competes]


def context_of(methods=(), scheme=None) -> Any:
    kind = output_kind("classes")
    return SimpleNamespace(
        epoch_samples=lambda fidelity: 500, methods=parse_methods(methods), scheme=scheme,
        data=SimpleNamespace(head=SimpleNamespace(kind=kind)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("methods", "scheme", "arm", "taught"),
    [
        (("kd",), None, "distilled", True),
        (("kd",), None, "cross-entropy", False),
        (("kd",), None, "of an older version", False),
        (("cskd",), None, "teacher-free", False),
        (("none",), "multi_teacher", "scheme", True),
        (("none",), "multi_teacher", "scheme without distillation", False),
        (("none",), "dml", "scheme", False),
    ],
)
def test_a_full_training_is_taught_where_a_teacher_takes_part(methods, scheme, arm, taught):
    found = scheme and configured_scheme(scheme, (), ("a", "b"), named=scheme == "multi_teacher")
    order: Any = SimpleNamespace(
        spec=SimpleNamespace(key="k"), arm=arm, epochs=2, budget_s=None, goes_on="", trial=0,
        repetition=0,
    )  # fmt: skip
    result: Any = SimpleNamespace(
        epochs=2, epochs_judged=None, samples_seen=500, objective=terms(0.1), varied_error=None
    )
    (one,) = contenders([], {"one": (order, result)}, context_of(methods, found), GOAL)
    assert one.is_taught == taught


@pytest.mark.parametrize(
    ("described", "arm"),
    [
        (None, "distilled"), ("both", "distilled"), ("alone", "teacher-free"), ((), "labels alone"),
    ],
)  # fmt: skip
def test_a_candidate_learned_by_the_arm_that_its_record_describes(described, arm):
    methods = parse_methods(("kd", "cskd"))
    texts = tuple(entry.describe() for entry in methods)
    given = {"both": texts, "alone": texts[1:]}.get(described, described)
    assert arm_of_trial(given, methods, output_kind("classes")).name == arm


def test_a_candidate_that_learned_by_a_cheap_scheme_is_known_by_it() -> None:
    scheme, kind = configured_scheme("sad", (), (), named=False), output_kind("classes")
    assert scheme is not None
    assert arm_of_trial([scheme.describe()], (), kind, scheme).name == "scheme"
    assert arm_of_trial([], (), kind, scheme).name == "labels alone"
