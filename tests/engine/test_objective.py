from __future__ import annotations

import math

import numpy as np
import pytest

from hwkd.core.objective import ObjectiveConfig
from hwkd.engine.setup.objective import latency_overrun, score_objective
from hwkd.tasks.classes_head import ClassesHead


def divergence_nats(student, teacher, *, temperature):
    return ClassesHead.numbered(2).divergence(student, teacher, temperature=temperature)


def test_divergence_of_two_classes_is_the_sum_by_hand():
    # Teacher (3/4, 1/4), student (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2).
    teacher = np.array([[math.log(3.0), 0.0]], dtype=np.float32)
    student = np.zeros((1, 2), dtype=np.float32)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert divergence_nats(student, teacher, temperature=1.0) == pytest.approx(expected, abs=1e-7)


def test_temperature_divides_both_sides_and_nothing_else():
    generator = np.random.default_rng(0)
    student, teacher = generator.normal(size=(2, 5, 4))
    warm = divergence_nats(student, teacher, temperature=2.0)
    assert warm == pytest.approx(divergence_nats(student / 2, teacher / 2, temperature=1.0))


def test_divergence_is_a_mean_over_samples_zero_for_equal_ones_and_ignores_offsets():
    generator = np.random.default_rng(1)
    student, teacher = generator.normal(size=(2, 6, 3))
    one_by_one = [
        divergence_nats(student[i : i + 1], teacher[i : i + 1], temperature=1.0) for i in range(6)
    ]
    whole = divergence_nats(student, teacher, temperature=1.0)
    assert whole == pytest.approx(float(np.mean(one_by_one)))
    assert divergence_nats(student, student + 7.0, temperature=1.0) == pytest.approx(0.0, abs=1e-12)


def test_huge_logits_stay_finite():
    far = divergence_nats(np.array([[1e4, 0.0]]), np.array([[0.0, 1e4]]), temperature=1.0)
    assert far == pytest.approx(1e4)


def test_shapes_that_differ_are_a_mistake():
    with pytest.raises(ValueError, match="shapes differ"):
        divergence_nats(np.zeros((2, 3)), np.zeros((2, 4)), temperature=1.0)


@pytest.mark.parametrize(
    ("latency_s", "target_s", "overrun"),
    [(0.01, 0.02, 0.0), (0.02, 0.02, 0.0), (0.03, 0.02, 0.5), (None, 0.02, 0.0), (9.0, None, 0.0)],
)
def test_overrun_counts_only_what_is_above_the_target(latency_s, target_s, overrun):
    assert latency_overrun(latency_s, target_s) == pytest.approx(overrun)


def test_the_sum_weighs_each_term_and_records_them_unweighted():
    config = ObjectiveConfig(alpha=2.0, beta=0.5, gamma=3.0, target_latency_s=0.01)
    scored = score_objective(config, task_error=0.1, divergence=0.4, latency_s=0.015)
    assert (scored.task_error, scored.divergence) == (0.1, 0.4)
    assert scored.latency_overrun == pytest.approx(0.5)
    assert scored.value == pytest.approx(2.0 * 0.1 + 0.5 * 0.4 + 3.0 * 0.5)
