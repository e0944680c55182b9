"""What `hwkd finish` says of its trainings: tried, compared with what, and what ships."""

from types import SimpleNamespace
from typing import Any

import pytest

from hwkd.core.metric import ACCURACY, ScoresRecord
from hwkd.engine.arms.contest import Contest
from hwkd.engine.arms.verdict import Contender
from hwkd.engine.search.finish_again import Further, what_came


def trained(name, accuracy, goes_on=""):
    order: Any = SimpleNamespace(arm="labels alone", trial=3, goes_on=goes_on, samples_before=0)
    found: Any = SimpleNamespace(scores=ScoresRecord(validation_int8={"accuracy": accuracy}))
    contender = Contender(
        name=name, network="k", weights="full", arm=name, value=1.0 - accuracy, is_taught=False
    )
    return name, (order, found), contender


def contest(*students, winner):
    return Contest(
        trainings={name: training for name, training, _ in students},
        competing=tuple(contender for *_, contender in students),
        deviation=0.0,
        winner=next(contender for name, _, contender in students if name == winner),
    )


HELD, NEW = trained("held", 0.9), trained("new", 0.95, goes_on="held")


@pytest.mark.parametrize(
    ("students", "winner", "said"),
    [
        ([HELD, NEW], "new", "What ships is new: labels alone of trial 3, going on"),
        ([HELD, trained("new", 0.8)], "held", "Nothing new was better, so what the folder held"),
    ],
)
def test_an_end_done_again_says_what_was_tried_and_what_stays(students, winner, said):
    before, after = contest(HELD, winner="held"), contest(*students, winner=winner)
    tried, came = what_came(before, after, [], ACCURACY)
    new = ACCURACY.text(students[1][1][1].scores.validation_int8["accuracy"])
    assert new in tried
    assert "The folder held: labels alone of trial 3, from the start (accuracy, int8 valid" in tried
    assert "90.00 %" in tried
    assert came.startswith(said)


def test_where_nothing_was_trained_it_says_so():
    held = contest(HELD, winner="held")
    (said,) = what_came(held, held, [], ACCURACY)
    assert said.startswith("Nothing new was trained; what the folder held stays: labels alone")


def test_what_goes_on_takes_its_place_and_all_share_the_cores():
    class Order(SimpleNamespace):
        def model_copy(self, *, update):
            return Order(**{**vars(self), **update})

    fresh: Any = [Order(name="a", processes=2), Order(name="b", processes=2)]
    further: Any = Order(name="on", processes=1)
    for place, names in ((0, ["on", "a", "b"]), (1, ["a", "on", "b"])):
        orders = Further(order=further, place=place).among(fresh, most_processes=8)
        assert [order.name for order in orders] == names
        assert {order.processes for order in orders} == {3}
