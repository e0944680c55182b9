from __future__ import annotations

import pytest
from support.made_records import estimate

from hwkd.core.limits import Limits, violations


def test_a_student_inside_every_limit_violates_none():
    limits = Limits(
        latency_s=0.013, ram_bytes=10_000, flash_bytes=60_000, weight_bytes=20_000, energy_j=1e-3
    )
    assert violations(estimate(), limits) == ()


def test_without_limits_nothing_is_violated():
    assert violations(estimate(), Limits()) == ()


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
    (found,) = violations(estimate(), limits)
    assert (found.limit_name, found.needed) == (name, needed)
    assert found.excess_ratio > 0


def test_the_worst_excess_comes_first():
    limits = Limits(ram_bytes=8_000, flash_bytes=20_000, weight_bytes=16_000)
    found = violations(estimate(), limits)
    assert [v.limit_name for v in found] == ["flash", "ram", "weights"]
    assert found[0].excess_ratio == pytest.approx(2.0)


@pytest.mark.parametrize(("risk", "fits"), [("upper", False), ("expected", True), ("lower", True)])
def test_risk_chooses_the_end_of_the_interval_that_must_fit(risk, fits):
    assert (violations(estimate(), Limits(latency_s=0.011), risk=risk) == ()) is fits


def test_an_unknown_latency_or_energy_violates_nothing_by_arithmetic():
    unknown = estimate(latency=None, energy_j=None)
    assert violations(unknown, Limits(latency_s=1e-9, energy_j=1e-9)) == ()
