"""What follows a training is counted with what judging answers takes."""

from __future__ import annotations

import time

import pytest
from support.tiny_search import make_run

from hwkd.engine.arms.scoring_pace import ScoringPace, measure_scoring
from hwkd.engine.arms.train_arm import training_share_s

SLOW_S = 0.2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), distill=[{"method": "none"}])


def test_a_head_that_judges_slowly_leaves_less_time_to_train(run, monkeypatch):
    context = run.runner().context
    head = context.data.head
    judged = type(head).errors

    def slow(self, outputs, targets):
        time.sleep(SLOW_S)
        return judged(self, outputs, targets)

    monkeypatch.setattr(type(head), "errors", slow)
    pace = measure_scoring(context, context.given.candidate(context.references[0].spec))
    # Ten times on validation, and as often as three times validation on as much of a test split.
    assert pace.after_training_s >= 10 * SLOW_S
    assert pace.testing_s >= 3 * SLOW_S * len(context.data.test) / len(context.data.validation)


@pytest.mark.parametrize(
    ("left_s", "training_s"),
    [
        (1000.0, (1000.0 - 133.0) / 1.2),  # all that may follow, learning from validation too
        (300.0, 0.75 * 300.0),  # what must follow, and what is left for further forms
        (200.0, 200.0 - 63.0),  # what must follow alone
        (100.0, 0.5 * 100.0),
    ],
)
def test_a_training_has_most_of_the_time_however_slow_judging_is(left_s, training_s):
    # Detectors on a tenth of a core; what must follow: the first time, three more, the test split.
    pace = ScoringPace(first_s=13.0, scoring_s=10.0, varying_s=0.0, testing_s=20.0)
    assert pace.after_training_s == 133.0
    assert pace.least_after_training_s == 63.0
    assert training_share_s(left_s, pace, further_ratio=0.2) == pytest.approx(training_s)
