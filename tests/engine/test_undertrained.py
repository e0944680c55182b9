"""Whether a search says that more time would likely help: where it would, and nowhere else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.made_records import SPEC, completed

from hwkd.core.metric import ScoresRecord
from hwkd.engine.arms.contest import Contest
from hwkd.engine.arms.orders import ArmOrder, ArmResult
from hwkd.engine.arms.verdict import Contender
from hwkd.engine.search.finish_again import samples_held
from hwkd.engine.search.undertrained import Length, gain_of_twice, undertrained
from hwkd.tasks.boxes_head import boxes_head
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.maps_head import MapsHead

TRAIN = 1000


def gain(ships, *others, validation=1000):
    return gain_of_twice(
        Length(samples=ships[0], error=ships[1]),
        [Length(samples=samples, error=error) for samples, error in others],
        examples=TRAIN,
        validation_samples=validation,
    )


def test_a_power_law_is_carried_on():
    # An error of passes ** -0.5, of 0.8 after the first pass.
    after = {passes: 0.8 * passes**-0.5 for passes in (1, 2, 4, 8)}
    found = gain((4 * TRAIN, after[4]), (1 * TRAIN, after[1]), (2 * TRAIN, after[2]))
    assert found == pytest.approx(after[4] - after[8])


@pytest.mark.parametrize(
    ("ships", "others"),
    [
        ((40 * TRAIN, 0.05), [(4 * TRAIN, 0.08)]),  # falls by less than two points
        ((4 * TRAIN, 0.40), [(2 * TRAIN, 0.41)]),  # fell by no more than luck
        ((4 * TRAIN, 0.40), [(2 * TRAIN, 0.35)]),  # rose
        ((4 * TRAIN, 0.40), [(1 * TRAIN, 0.8), (40 * TRAIN, 0.45)]),  # longer ones were no better
        ((50 * TRAIN, 0.40), []),  # many passes, and nothing to compare them with
        ((2 * TRAIN, 0.01), []),  # little is wrong
    ],
)
def test_where_more_time_is_worth_little_nothing_is_gained(ships, others):
    assert gain(ships, *others) == 0.0


def test_few_passes_gain_though_nothing_shorter_is_known():
    assert gain((3 * TRAIN, 0.5)) > 0.02


def test_few_passes_are_few_however_little_validation_there_is():
    # Pieces of words after a few seconds: right .42 of 200 after 2.7 passes over 600 texts.
    assert gain((2.7 * TRAIN, 0.58), validation=200) > 0.02


def test_of_few_validation_examples_a_fall_may_be_luck():
    ships, shorter = (4 * TRAIN, 0.40), (2 * TRAIN, 0.48)
    assert gain(ships, shorter, validation=1000) > 0.0
    assert gain(ships, shorter, validation=50) == 0.0


def context_of(head):
    data = SimpleNamespace(
        train=range(TRAIN), validation=SimpleNamespace(labels=np.zeros(1000)), head=head
    )
    made: Any = SimpleNamespace(data=data, fidelity=None, epoch_samples=lambda _: TRAIN)
    return made


def full(name, error, passes, goes_on=""):
    order = ArmOrder(
        name=name, trial=0, spec=SPEC, repetition=0, arm="labels", processes=1, epochs=200,
        goes_on=goes_on,
    )  # fmt: skip
    objective = completed(0, error=error).objective
    result = ArmResult(
        seed=0, epochs=1, scores=ScoresRecord(), objective=objective, samples_seen=passes * TRAIN
    )
    return name, (order, result)


def said(ships, *trainings, brief=(0.9, 1), head=None, is_timed=True):
    """Return what is said of a run whose brief training had an error after so many passes."""
    ranked = [completed(0, error=brief[0]).model_copy(update={"epochs_made": float(brief[1])})]
    winner = Contender(name=ships, network=SPEC.key, weights="full", arm="labels", value=0.0)
    contest = Contest(trainings=dict(trainings), competing=(winner,), deviation=0.0, winner=winner)
    return undertrained(
        contest, ranked, context_of(head or ClassesHead.numbered(3)), is_timed=is_timed
    )


def test_what_was_held_has_seen_what_it_went_on_with_too():
    trainings = dict((full("a", 0.4, 5, goes_on="trial 0"), full("b", 0.3, 3, goes_on="a")))
    winner = Contender(name="b", network=SPEC.key, weights="full", arm="labels", value=0.0)
    held = Contest(trainings=trainings, competing=(winner,), deviation=0.0, winner=winner)
    ranked = [completed(0, error=0.9).model_copy(update={"epochs_made": 2.0})]
    assert samples_held(held, ranked, context_of(ClassesHead.numbered(3))) == 10 * TRAIN


HEADS = {
    "classes": ClassesHead.numbered(3),
    "boxes": boxes_head(("a", "b")),
    "maps": MapsHead(names=("a", "b"), grid=(8, 8)),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_what_still_rose_is_undertrained_whatever_the_task(head):
    line = said("a", full("a", 0.485, 3), head=head)
    assert "undertrained: after 3 passes" in line
    assert "validation is 0.485" in line
    assert "--timeout" in line
    assert said("a", full("a", 0.02, 60), brief=(0.03, 10), head=head) is None


def test_without_a_time_limit_more_passes_are_the_advice():
    assert "--full-epochs 6" in said("a", full("a", 0.485, 3), is_timed=False)


def test_brief_weights_of_few_passes_are_undertrained_and_those_that_nothing_beat_are_not():
    assert "after 2 passes" in said("trial 0", brief=(0.6, 2))
    assert said("trial 0", full("a", 0.7, 20), brief=(0.6, 2)) is None


def test_what_went_on_has_seen_what_came_before_it():
    held, on = full("held", 0.5, 4), full("on", 0.4, 4, goes_on="held")
    assert "after 8 passes" in said("on", held, on)


def test_a_training_that_saw_what_full_ones_converge_in_needs_no_time():
    assert said("a", full("a", 0.4, 1000), brief=(0.9, 4)) is None
    assert said("a", full("a", 0.4, 900), brief=(0.9, 4)) is not None
