from __future__ import annotations

from dataclasses import replace

import pytest
from support.made_records import estimate, measurement

from hwkd.core.limits import LIMIT_FIELDS, Fit, LimitFit, Limits, Need
from hwkd.core.run_record import DeviceRecord, LimitRecord

EXACT = Limits(
    latency_s=0.013, ram_bytes=10_000, flash_bytes=60_000, weight_bytes=20_000, energy_j=1e-3
)


def answers(cost, limits, **options):
    return {entry.name: entry.answer for entry in Fit.of(cost, limits, **options).limits}


def test_a_student_that_needs_exactly_what_it_may_fits():
    fit = Fit.of(estimate(), EXACT)
    assert (fit.answer, fit.violations, fit.unknown) == ("fits", (), ())
    assert [entry.used_ratio for entry in fit.limits] == [1.0] * 5


def test_without_limits_everything_fits():
    assert Fit.of(estimate(latency=None), Limits()) == Fit(limits=())
    assert Fit(limits=()).answer == "fits"


@pytest.mark.parametrize(
    ("limits", "name", "needed"),
    [
        (Limits(ram_bytes=9_999), "ram", 10_000),
        (Limits(flash_bytes=59_999), "flash", 60_000),
        (Limits(weight_bytes=19_999), "weights", 20_000),
        (Limits(energy_j=0.9e-3), "energy", 1e-3),
        (Limits(latency_s=0.0129), "latency", 0.013),
    ],
)
def test_each_limit_is_named_with_what_is_needed(limits, name, needed):
    fit = Fit.of(estimate(), limits)
    (found,) = fit.violations
    assert (fit.answer, found.limit_name, found.needed) == ("over", name, needed)
    assert found.excess_ratio > 0


def test_the_worst_excess_comes_first():
    limits = Limits(ram_bytes=8_000, flash_bytes=20_000, weight_bytes=16_000)
    found = Fit.of(estimate(), limits).violations
    assert [v.limit_name for v in found] == ["flash", "ram", "weights"]
    assert found[0].excess_ratio == pytest.approx(2.0)


@pytest.mark.parametrize(("risk", "needed"), [("upper", 13), ("expected", 10), ("lower", 8)])
def test_risk_chooses_the_end_of_the_interval_that_must_fit(risk, needed):
    (entry,) = Fit.of(estimate(), Limits(latency_s=0.011), risk).limits
    assert entry.needed == pytest.approx(needed / 1000)
    assert entry.answer == ("over" if risk == "upper" else "fits")


def test_an_unknown_latency_or_energy_is_unknown_and_violates_nothing():
    unknown = estimate(latency=None, energy_j=None)
    fit = Fit.of(unknown, Limits(latency_s=1e-9, energy_j=1e-9, ram_bytes=10_000))
    assert fit.unknown == ("latency", "energy")
    assert (fit.answer, fit.violations) == ("unknown", ())
    assert [entry.needed for entry in fit.limits if entry.name != "ram"] == [None, None]


def test_of_operators_without_a_cost_only_too_much_is_known():
    partial = replace(estimate(), unsupported_ops={"LSTM": 1})
    ample, tight = Limits(latency_s=1.0, energy_j=1.0), Limits(latency_s=0.01, energy_j=1e-4)
    assert answers(partial, ample) == {"latency": "unknown", "energy": "unknown"}
    assert answers(partial, tight) == {"latency": "over", "energy": "over"}


def test_where_no_operator_has_a_cost_nothing_is_needed_that_is_known():
    nothing = replace(estimate(latency=(0.0, 0.0, 0.0), energy_j=0.0), unsupported_ops={"LSTM": 1})
    fit = Fit.of(nothing, Limits(latency_s=1.0, energy_j=1.0))
    assert fit.unknown == ("latency", "energy")
    assert [(entry.needed, entry.used_ratio) for entry in fit.limits] == [(None, None)] * 2


def test_memory_of_unknown_kernels_is_a_lower_bound_and_weights_are_not():
    partial = replace(estimate(), unknown_kernels=("LSTM",))
    assert answers(partial, EXACT) == {
        "latency": "fits", "ram": "unknown", "flash": "unknown", "weights": "fits",
        "energy": "fits",
    }  # fmt: skip
    assert answers(partial, Limits(ram_bytes=9_999))["ram"] == "over"


@pytest.mark.parametrize(
    ("amounts", "answer"),
    [
        ((1.0, 2.0), "fits"),
        ((1.0, None), "unknown"),
        ((None, None), "unknown"),
        ((3.0, None), "over"),
    ],
)
def test_one_limit_that_is_over_decides_and_then_one_that_is_unknown(amounts, answer):
    entries = [LimitFit(name="ram", needed=needed, limit=2.0) for needed in amounts]
    assert Fit(limits=tuple(entries)).answer == answer


@pytest.mark.parametrize(("risk", "needed_s"), [("upper", 0.012), ("expected", 0.011)])
def test_a_measured_latency_is_judged_where_none_is_estimated(risk, needed_s):
    measured = measurement(median_s=0.011, p90_s=0.012)
    limits = Limits(latency_s=0.0115)
    (entry,) = Fit.of(estimate(latency=None), limits, risk, measured=measured).limits
    assert entry.needed == needed_s
    (estimated,) = Fit.of(estimate(), limits, risk, measured=measured).limits
    assert estimated.needed == {"upper": 0.013, "expected": 0.010}[risk]


def test_what_is_limited_and_not_named_among_the_needs_is_unknown():
    fit = Fit.of_needs({"flash": Need(1)}, Limits(flash_bytes=1, ram_bytes=1))
    assert {entry.name: entry.answer for entry in fit.limits} == {"ram": "unknown", "flash": "fits"}


def test_the_plain_form_says_every_answer():
    partial = replace(estimate(), unsupported_ops={"LSTM": 1})
    assert Fit.of(partial, Limits(latency_s=1.0, ram_bytes=9_000)).as_dict() == {
        "answer": "over",
        "limits": [
            {"name": "latency", "answer": "unknown", "needed": 0.013, "is_lower_bound": True,
             "limit": 1.0},
            {"name": "ram", "answer": "over", "needed": 10_000, "is_lower_bound": False,
             "limit": 9_000},
        ],
    }  # fmt: skip


def test_a_stored_cost_is_judged_as_the_estimate_that_it_is():
    device = DeviceRecord(
        name="d", core="c", clock_hz=1.0, runtime="r",
        limits=tuple(
            LimitRecord(name=name, value=getattr(EXACT, field), origin="option")
            for name, field in LIMIT_FIELDS.items()
        ),
    )  # fmt: skip
    stored = estimate(latency=(0.014, 0.014, 0.014), flash=60_001, energy_j=None)
    assert {entry.name: entry.answer for entry in device.fit(stored).limits} == {
        "latency": "over", "ram": "fits", "flash": "over", "weights": "fits", "energy": "unknown",
    }  # fmt: skip
