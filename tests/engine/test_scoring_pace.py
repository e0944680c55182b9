"""What follows a training is counted with what judging answers takes."""

from __future__ import annotations

import time

import pytest
from support.tiny_search import make_run

from hwkd.engine.arms.scoring_pace import measure_scoring

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
