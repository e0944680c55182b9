"""What soft answers say beside labels."""

import numpy as np
import pytest

from hwkd.core.soft_answers import calibration_error, probabilities, soft_answers


def test_an_answer_that_is_sure_and_right_says_no_more_than_its_label() -> None:
    logits = np.array([[60.0, 0, 0], [0, 60.0, 0]])
    found = soft_answers(logits, np.array([0, 1]), ("a", "b", "c"), is_right=np.array([True, True]))
    assert found.accuracy == 1.0
    assert found.entropy_nats == pytest.approx(0.0, abs=1e-20)
    assert found.calibration_error == pytest.approx(0.0, abs=1e-20)
    assert [s.label for s in found.samples] == ["a", "b"]


def test_an_answer_that_knows_nothing_has_the_entropy_of_all_classes() -> None:
    labels = np.array([0, 1, 2, 0])
    found = soft_answers(np.zeros((4, 5)), labels, tuple("abcde"), is_right=labels == 0)
    assert found.entropy_nats == pytest.approx(np.log(5))
    assert found.accuracy == 0.5
    assert found.calibration_error == pytest.approx(0.3)


def test_samples_go_from_the_surest_to_the_least_sure() -> None:
    logits = np.stack([np.linspace(0, 9, 40), np.zeros(40), np.zeros(40) - 1], 1)
    labels = np.zeros(40, np.int64)
    found = soft_answers(logits, labels, ("a", "b", "c"), is_right=labels == 0, samples=10)
    entropies = [sample.entropy_nats for sample in found.samples]
    assert len(entropies) == 10
    assert entropies == sorted(entropies)
    assert found.samples[0].row == 39
    top = found.samples[0].likeliest
    assert [name for name, _ in top] == ["a", "b", "c"]
    assert top[0][1] == pytest.approx(1 / (1 + np.exp(-9) + np.exp(-10)))


def test_the_calibration_error_is_that_of_its_bins() -> None:
    # Ten at confidence 0.95, of which seven are right; ten at 0.55, of which six are.
    confidence = np.repeat([0.95, 0.55], 10)
    is_right = np.array([True] * 7 + [False] * 3 + [True] * 6 + [False] * 4)
    assert calibration_error(confidence, is_right) == pytest.approx((0.25 + 0.05) / 2)


def test_large_logits_stay_numbers() -> None:
    assert probabilities(np.array([[1e4, 0.0]])).tolist() == [[1.0, 0.0]]
