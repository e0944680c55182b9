"""The verdict on a network says what it learned by, also when its teacher was left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from hwkd.core.metric import ACCURACY, ScoresRecord
from hwkd.core.student import StudentSpec
from hwkd.distill.scheme_spec import parse_scheme
from hwkd.distill.spec import parse_methods
from hwkd.engine.arms.contest import BRIEF, judged
from hwkd.engine.arms.orders import ArmOrder, ArmResult
from hwkd.io.discovery import output_kind

SPEC = StudentSpec(space="plain", params={}, input_shape=(1, 8, 8), num_outputs=3)


def context(scheme: str | None = None) -> Any:
    head = SimpleNamespace(metrics=(ACCURACY,), kind=output_kind("classes"))
    return SimpleNamespace(
        methods=parse_methods(("kd",)) if scheme is None else (),
        scheme=None if scheme is None else parse_scheme(scheme),
        data=SimpleNamespace(head=head),
    )


def training(arm: str, value: float, name: str | None = None) -> tuple[ArmOrder, ArmResult]:
    order = ArmOrder(name=name or arm, spec=SPEC, repetition=0, arm=arm, processes=1, epochs=2)
    scores = {"accuracy": value}
    record = ScoresRecord(
        validation_float=scores, validation_int8=scores, test_float=scores, test_int8=scores
    )
    return order, ArmResult(seed=0, epochs=2, scores=record)


def found(*trainings: tuple[ArmOrder, ArmResult]) -> dict[str, tuple[ArmOrder, ArmResult]]:
    return {order.full_name: (order, result) for order, result in trainings}


def test_controls_stand_beside_what_was_asked_for() -> None:
    control, taught = training("cross-entropy", 0.8), training("distilled", 0.9)
    verdict = judged(taught[0], found(control, taught), context(), networks_compared=1)
    assert [arm.name for arm in verdict.arms] == ["distilled", "cross-entropy"]
    assert verdict.gain is not None
    assert (verdict.gain.over, verdict.ships) == ("cross-entropy", "distilled")
    assert verdict.gain.mean == pytest.approx(0.1)


def test_a_scheme_stands_beside_itself_without_distillation() -> None:
    control, taught = training("scheme without distillation", 0.8), training("scheme", 0.9)
    verdict = judged(taught[0], found(control, taught), context("dml"), networks_compared=1)
    assert [arm.name for arm in verdict.arms] == ["scheme", "scheme without distillation"]
    assert verdict.arms[1].methods == ("control of dml:peers=3,temperature=1,weight=1",)
    assert verdict.gain is not None
    assert verdict.gain.over == "scheme without distillation"


@pytest.mark.parametrize("name", ["labels alone", f"{BRIEF}-3"])
def test_a_teacher_that_was_left_out_gets_no_credit(name: str) -> None:
    order, result = training("labels alone", 0.8, name)
    verdict = judged(order, found((order, result)), context(), networks_compared=None)
    assert (verdict.methods, verdict.is_taught, verdict.gain) == ((), False, None)
    assert verdict.sentences[0] == "Trained on labels alone."
