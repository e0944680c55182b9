"""Gains over the best control, with intervals, and never a worse student."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwkd.core.errors import ConfigError
from hwkd.core.metric import Metric
from hwkd.core.verdict_record import ArmRecord, ArmScores
from hwkd.engine.arms.verdict import (
    Contender,
    best_control,
    gain_over_controls,
    paired_gain,
    shipping,
)


def test_interval_is_students_t_of_the_paired_differences() -> None:
    gain = paired_gain([0.92, 0.94, 0.93], [0.91, 0.91, 0.92])
    # Differences .01 .03 .01: mean 1/60, deviation .011547, t(.975, 2) = 4.30265.
    assert gain.mean == pytest.approx(5 / 300)
    assert gain.high is not None
    assert gain.high - gain.mean == pytest.approx(4.30265 * 0.011547 / math.sqrt(3), rel=1e-4)
    assert gain.verdict == "no difference shown"


def test_clear_gain_and_clear_loss_are_named() -> None:
    assert paired_gain([0.92, 0.93, 0.94], [0.81, 0.82, 0.835]).verdict == "gain"
    assert paired_gain([0.81, 0.82, 0.835], [0.92, 0.93, 0.94]).verdict == "loss"


def test_one_seed_shows_nothing() -> None:
    gain = paired_gain([0.99], [0.10])
    assert (gain.low, gain.high) == (None, None)
    assert gain.verdict == "no difference shown"


def test_gain_is_over_the_best_control_also_where_less_is_better() -> None:
    def arm(name: str, *values: float) -> ArmRecord:
        scores = (
            ArmScores(seed=seed, validation_int8=value, test_int8=value)
            for seed, value in enumerate(values)
        )
        return ArmRecord(name=name, scores=tuple(scores))

    arms = [arm("dist", 0.813, 0.811), arm("ce", 0.60, 0.61), arm("transform", 0.84, 0.85)]
    gain = gain_over_controls(arms)
    assert gain is not None
    assert gain.over == "transform"
    assert gain.mean < 0
    error = Metric(name="mean absolute error", unit="", direction="min")
    gain = gain_over_controls(arms, error)
    assert gain is not None
    assert gain.over == "ce"
    assert gain.mean == pytest.approx(0.605 - 0.812)


scores = st.lists(st.floats(0, 1), min_size=3, max_size=3)


@given(scores, st.dictionaries(st.sampled_from(["ce", "ls", "transform"]), scores, min_size=1))
def test_the_student_that_ships_is_never_of_a_worse_arm(
    method: list[float], controls: dict[str, list[float]]
) -> None:
    errors = {"kd": method, **controls}
    found = shipping(
        [
            Contender(
                name=f"{arm} {seed}", network="n", weights="full", arm=arm, value=value,
                is_taught=arm == "kd",
            )
            for arm, values in errors.items()
            for seed, value in enumerate(values)
        ]
    )  # fmt: skip
    assert fmean(errors[found.arm]) == min(fmean(values) for values in errors.values())
    assert found.value == min(errors[found.arm])


def test_a_tie_goes_to_the_control() -> None:
    tied = [
        Contender(name=arm, network="n", weights="full", arm=arm, value=0.1, is_taught=arm == "kd")
        for arm in ("kd", "ce")
    ]
    assert shipping(tied).arm == "ce"


def test_missing_controls_or_seeds_are_refused() -> None:
    with pytest.raises(ConfigError, match="no control was trained"):
        best_control({})
    with pytest.raises(ConfigError, match="3 and 2 scores cannot be paired"):
        paired_gain([0.9] * 3, [0.9] * 2)
