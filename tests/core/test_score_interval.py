"""Intervals of scores against SciPy, and against the spread of scores of samples."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score

from hwkd.core.metric import ACCURACY, AVERAGE_PRECISION, BALANCED_ACCURACY, MACRO_F1, Metric
from hwkd.core.score_interval import score_intervals, scores_by_chance

CLASSES = (ACCURACY, BALANCED_ACCURACY, MACRO_F1)


@pytest.mark.parametrize(("right", "examples"), [(321, 420), (0, 7), (50, 50), (1, 1)])
def test_the_interval_of_an_accuracy_is_wilsons(right, examples):
    found = score_intervals((ACCURACY,), {"accuracy": right / examples}, examples)["accuracy"]
    expected = binomtest(right, examples).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (found.examples, found.confidence, found.made_by) == (examples, 0.95, "Wilson")


def test_people_read_both_ends_and_how_many_were_answered():
    found = score_intervals((ACCURACY,), {"accuracy": 321 / 420}, 420)["accuracy"]
    assert found.text(ACCURACY) == "95 % interval 72.14 % to 80.24 %, 420 examples"


def test_means_over_classes_spread_as_they_do_over_samples():
    """Samples drawn from one source, scored by scikit-learn: the truth that redrawing estimates."""
    random = np.random.default_rng(1)
    chance = np.array([[0.5, 0.2, 0.0], [0.05, 0.15, 0.0], [0.0, 0.03, 0.07]])
    pairs = random.choice(9, size=(600, 400), p=chance.reshape(-1))
    given, named = pairs // 3, pairs % 3
    confusion = np.bincount(random.choice(9, 400, p=chance.reshape(-1)), minlength=9).reshape(3, 3)
    table = tuple(map(tuple, confusion.tolist()))
    found = score_intervals(CLASSES, {"accuracy": confusion.trace() / 400}, 400, table)
    for name, score in (
        ("balanced accuracy", balanced_accuracy_score),
        ("macro F1", lambda y, p: f1_score(y, p, average="macro")),
    ):
        values = [score(y, p) for y, p in zip(given, named, strict=True)]
        low, high = np.quantile(values, [0.025, 0.975])
        assert found[name].high - found[name].low == pytest.approx(high - low, rel=0.25)
        assert found[name].made_by == "bootstrap"


@pytest.mark.parametrize(
    "table", [(), ((4, 0), (0, 6)), ((4, 1),), ((9, 1), (0, 6)), ((-1, 5), (0, 6))]
)
def test_a_mean_over_classes_has_none_where_answers_are_unknown_damaged_or_all_right(table):
    found = score_intervals(CLASSES, {"accuracy": 1.0, "macro F1": 1.0}, 10, table)
    assert list(found) == ["accuracy"]


def test_examples_that_depend_on_each_other_have_none():
    voted = Metric(name="recording accuracy", unit="ratio", direction="max")
    assert score_intervals((ACCURACY, voted), {"accuracy": 0.9}, 100) == {}
    assert score_intervals(CLASSES, None, 100) == {}
    assert score_intervals(CLASSES, {"accuracy": 0.9}, 0) == {}


def test_scores_at_random_have_the_share_of_anomalies_as_average_precision():
    outcomes = np.array([0] * 69 + [1] * 31)
    at_random = [
        average_precision_score(outcomes, np.random.default_rng(seed).random(100))
        for seed in range(300)
    ]
    found = scores_by_chance((AVERAGE_PRECISION,), ((60, 9), (11, 20)))
    assert found == {"average precision": 0.31}
    assert np.mean(at_random) == pytest.approx(0.31, abs=0.03)
    assert scores_by_chance((ACCURACY,), ((60, 9), (11, 20))) == {}
