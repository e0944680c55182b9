"""Methods as users write them, and what is said about every way to write them wrongly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.distill.losses.soft_targets import SoftTargets
from hwkd.distill.method import LossMethod
from hwkd.distill.no_teacher import LabelTeacher
from hwkd.distill.schedules import Schedule, at_temperature
from hwkd.distill.spec import method_from_table, parse_method, parse_methods


def test_name_alone_takes_the_papers_options_and_usual_weight() -> None:
    found = parse_method("at")
    assert found.weight == 1000.0
    assert found.schedule == Schedule()


def test_options_weight_schedule_and_pairs_are_read() -> None:
    found = parse_method("fitnet:weight=0.9,stop=0.3,warmup=0.1,pairs=1:2+2:3")
    assert found.weight == 0.9
    assert found.schedule == Schedule(stop=0.3, warmup=0.1)
    assert found.pairs == ((1, 2), (2, 3))


def test_none_is_training_on_the_labels_alone() -> None:
    assert parse_methods(["none"]) == ()
    with pytest.raises(ConfigError, match="labels alone; give nothing beside it"):
        parse_methods(["none", "kd"])


def test_two_methods_with_a_cross_entropy_of_their_own_are_refused() -> None:
    with pytest.raises(ConfigError, match="tfkd_self and --method pskd: each brings its own"):
        parse_methods(["tfkd_self", "kd", "pskd"])


@pytest.mark.parametrize("name", ["kd", "lskd", "dist", "dkd", "gjs"])
def test_the_control_of_a_drifting_temperature_drifts_too(name: str) -> None:
    entry = parse_method(f"{name}:temperature=4,temperature_end=2")
    control = entry.method.no_teacher_control()
    assert control is not None
    moved = replace(entry, method=control)
    assert isinstance(control, LossMethod)
    now = at_temperature(control, moved.schedule, 0.5)
    inner = now.method if isinstance(now, LabelTeacher) else now
    assert inner.temperature == pytest.approx(3.0)  # type: ignore[attr-defined]


def test_text_and_table_mean_the_same() -> None:
    text = parse_method("kd:temperature=4,weight=0.9")
    assert method_from_table({"method": "kd", "temperature": 4, "weight": 0.9}) == text
    assert text.method == SoftTargets(temperature=4.0)


@pytest.mark.parametrize(
    "text", ["kd:temperature=4,weight=0.9", "dkd", "cc:form=gaussian", "fitnet:pairs=1:1,stop=0.5"]
)
def test_description_parses_back(text: str) -> None:
    found = parse_method(text)
    assert parse_method(found.describe()) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kd:temperature=-1", "method kd: temperature=-1.0 must be > 0"),
        ("kd:temperature=0", "temperature=0.0 must be > 0"),
        ("kd:temperature=warm", "temperature=warm is not a number"),
        ("kd:temperature=nan", "must be a finite number"),
        ("kd:temprature=2", "unknown option 'temprature'; did you mean temperature"),
        ("kd:xyz=2", "unknown option 'xyz'; known: temperature, weight, pairs"),
        ("kd:weight=0", "weight=0.0 must be more than 0"),
        ("kd:weight=-0.5", "weight=-0.5 must be more than 0"),
        ("kd:4", "'4' is not option=value; write it as kd:temperature=4,weight=0.9"),
        ("kd:temperature=", "is not option=value"),
        ("kd:temperature=1,temperature=2", "temperature is given twice"),
        ("kd:start=0.5,stop=0.5", "start=0.5 must be less than stop=0.5"),
        ("kd:stop=3", "stop=3.0 must be a share of the training, 0 to 1"),
        ("fitnet:pairs=1-2", "pairs=1-2 must be student:teacher stages from 1"),
        ("fitnet:pairs=0:1", "pairs=0:1 must be student:teacher stages from 1"),
        ("cc:form=round", "form=round must be one of consecutive, gaussian"),
        ("crd:dim=1.5", "dim=1.5 must be a whole number"),
        ("logit_mse:centred=maybe", "centred=maybe must be true or false"),
        ("at:temperature_end=1", "temperature_end needs a method with a temperature"),
        ("kd:temperature_end=-1", "temperature_end=-1.0 must be more than 0"),
        ("kd:pairs=1:2", "method kd: pairs are given and it compares no layers one by one"),
        ("semckd:pairs=1:2", "pairs are given and it compares no layers one by one"),
    ],
)
def test_mistakes_are_named_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_method(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_method_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown method 'fitnt'; did you mean fitnet"):
        parse_method("fitnt")


def test_table_without_method_is_refused() -> None:
    with pytest.raises(ConfigError, match='write method = "kd" first'):
        method_from_table({"temperature": 4})


def test_repeated_method_is_refused() -> None:
    with pytest.raises(ConfigError, match="--method kd is given 2 times"):
        parse_methods(["kd", "kd:temperature=2"])


def test_schedule_ramps_up_holds_and_decays() -> None:
    schedule = Schedule(start=0.2, stop=0.8, warmup=0.2, decay=0.1)
    ratios = (0.0, 0.19, 0.2, 0.3, 0.4, 0.7, 0.75, 0.8, 1.0)
    factors = [schedule.factor(ratio) for ratio in ratios]
    assert factors == pytest.approx([0, 0, 0, 0.5, 1, 1, 0.5, 0, 0])


def test_two_stages_cover_every_moment_once() -> None:
    hints, classes = Schedule(stop=0.3), Schedule(start=0.3)
    for step in range(101):
        assert hints.factor(step / 100) + classes.factor(step / 100) == 1.0


def test_temperature_drifts_to_its_end() -> None:
    schedule = Schedule(temperature_end=1.0)
    method = SoftTargets(temperature=5.0)
    assert [at_temperature(method, schedule, r).temperature for r in (0.0, 0.5, 1.0)] == [5, 3, 1]  # type: ignore[attr-defined]
