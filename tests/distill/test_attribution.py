"""Attribution: gains over the best control, with intervals, and never a worse student."""

from __future__ import annotations

import math

import pytest
from hwkd.distill.attribution import attribute, paired_gain
from hypothesis import given
from hypothesis import strategies as st

from hwkd.core.errors import ConfigError


def test_interval_is_students_t_of_the_paired_differences() -> None:
    gain = paired_gain([0.92, 0.94, 0.93], [0.91, 0.91, 0.92])
    # Differences .01 .03 .01: mean 1/60, deviation .011547, t(.975, 2) = 4.30265.
    assert gain.mean == pytest.approx(5 / 300)
    assert gain.high - gain.mean == pytest.approx(4.30265 * 0.011547 / math.sqrt(3), rel=1e-4)
    assert gain.verdict == "no difference shown"


def test_clear_gain_and_clear_loss_are_named() -> None:
    assert paired_gain([0.92, 0.93, 0.94], [0.81, 0.82, 0.835]).verdict == "gain"
    assert paired_gain([0.81, 0.82, 0.835], [0.92, 0.93, 0.94]).verdict == "loss"


def test_one_seed_shows_nothing() -> None:
    gain = paired_gain([0.99], [0.10])
    assert gain.low == -math.inf
    assert gain.verdict == "no difference shown"


def test_gain_is_over_the_best_control() -> None:
    found = attribute("dist", [0.813, 0.811], {"ce": [0.60, 0.61], "ce_standardised": [0.84, 0.85]})
    assert found.best_control == "ce_standardised"
    assert found.gain.mean < 0
    assert found.exported == "ce_standardised"
    assert not found.teacher_helped


def test_a_tie_goes_to_the_control() -> None:
    assert attribute("kd", [0.9, 0.9], {"ce": [0.9, 0.9]}).exported == "ce"


scores = st.lists(st.floats(0, 1), min_size=3, max_size=3)


@given(scores, st.dictionaries(st.sampled_from(["ce", "ls", "transform"]), scores, min_size=1))
def test_the_exported_student_is_never_worse_than_a_control(
    method: list[float], controls: dict[str, list[float]]
) -> None:
    found = attribute("kd", method, controls)
    assert found.means[found.exported] >= max(found.means[name] for name in controls)


def test_missing_controls_or_seeds_are_refused() -> None:
    with pytest.raises(ConfigError, match="no control was trained"):
        attribute("kd", [0.9], {})
    with pytest.raises(ConfigError, match="3 and 2 scores cannot be paired"):
        attribute("kd", [0.9] * 3, {"ce": [0.9] * 2})
