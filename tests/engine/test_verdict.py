"""What ships: never a worse student than the run already holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.made_records import SPEC

from hwkd.core.metric import ScoresRecord
from hwkd.core.trial import ObjectiveRecord
from hwkd.engine.arms.contest import told
from hwkd.engine.arms.left_behind import ahead_by_luck, ahead_on_plain_alone
from hwkd.engine.arms.orders import ArmOrder, ArmResult
from hwkd.engine.arms.verdict import Contender, expected_luck, shipping


def full(network: str, value: float, *, seed: int = 0, arm: str = "labels", taught: bool = False):
    return Contender(
        name=f"{network} {arm} {seed}", network=network, weights="full", arm=arm, value=value,
        is_taught=taught,
    )  # fmt: skip


def brief(network: str, value: float):
    return Contender(
        name=f"trial {network}", network=network, weights="brief", arm="brief", value=value,
        is_taught=False,
    )  # fmt: skip


def test_brief_weights_ship_when_the_full_training_ruined_the_network():
    assert shipping([brief("a", 0.17), full("a", 0.39)]).weights == "brief"


def test_full_weights_ship_when_they_are_as_good():
    assert shipping([brief("a", 0.17), full("a", 0.17)]).weights == "full"


def test_brief_weights_that_are_ahead_by_luck_alone_do_not_ship():
    many = [brief(f"n{index}", 0.11) for index in range(17)]
    lucky, ruined = brief("a", 0.100), full("a", 0.2)
    trained = full("b", 0.108)
    deviation = 0.0095  # an error of .1 on 1,000 examples
    assert shipping([*many, lucky, trained], deviation=deviation) == trained
    assert shipping([*many, lucky, ruined], deviation=deviation) == lucky
    assert shipping([lucky, trained], deviation=deviation) == lucky  # the one of one is not lucky


@given(compared=st.integers(1, 200))
@settings(max_examples=20, deadline=None)
def test_the_luck_of_the_best_is_the_mean_of_the_largest_of_as_many_normals(compared):
    drawn = np.random.default_rng(compared).normal(scale=0.01, size=(4000, compared))
    assert expected_luck(compared, 0.01) == pytest.approx(drawn.max(axis=1).mean(), abs=8e-4)


def test_the_best_brief_one_ships_when_nothing_was_trained_in_full():
    assert shipping([brief("a", 0.2), brief("b", 0.1)]).network == "b"


def test_the_mean_over_seeds_decides_between_networks_and_the_best_seed_ships():
    lucky = [full("a", 0.10), full("a", 0.20, seed=1)]
    steady = [full("b", 0.14), full("b", 0.13, seed=1)]
    assert shipping([*lucky, *steady]) == steady[1]


def test_full_trainings_are_compared_on_more_examples_where_all_have_answered_them():
    lucky = replace(full("a", 0.100), steadier=0.131, error=0.090, told="trial 14, 384 passes")
    better = replace(full("b", 0.103), steadier=0.118, error=0.093)
    assert shipping([lucky, better]) == better
    assert shipping([lucky, replace(better, steadier=None)]) == lucky
    (said,) = ahead_on_plain_alone([lucky, better, brief("c", 0.2)], better)
    assert said == (
        "trial 14, 384 passes: its validation error was 0.003 lower than that of the weights that "
        "ship, and on varied copies of the same examples 0.013 higher; those are more examples and "
        "decide"
    )
    (weighted,) = ahead_on_plain_alone([replace(lucky, error=0.08), better], better)
    assert "its objective on validation was 0.003 lower" in weighted
    assert ahead_on_plain_alone([lucky, better], lucky) == ()


def test_brief_weights_left_behind_are_named_with_the_luck_that_explains_them():
    lucky = replace(brief("a", 0.1), error=0.1, told="trial 3, its brief training")
    ships = replace(full("b", 0.108), error=0.108)
    (said,) = ahead_by_luck([lucky, brief("c", 0.2), ships], ships, 0.0095)
    assert said == (
        "trial 3, its brief training: its validation error was 0.008 lower than that of the "
        "weights that ship; the best of 2 brief trainings looks 0.0056 better than it is"
    )
    assert ahead_by_luck([brief("c", 0.2), ships], ships, 0.0095) == ()


def test_a_training_is_told_by_trial_way_and_the_passes_that_its_score_is_of():
    order = ArmOrder(
        name="labels-alone0-14", trial=14, spec=SPEC, repetition=0, arm="labels alone",
        processes=1, epochs=794,
    )  # fmt: skip
    reached = ArmResult(
        seed=1, epochs=384, scores=ScoresRecord(),
        objective=ObjectiveRecord(task_error=0.2, divergence=0.0, latency_overrun=0.0, value=0.2),
    )  # fmt: skip
    assert told(order, reached) == "trial 14, labels alone, 384 passes"
    again = order.model_copy(update={"repetition": 1, "goes_on": "what was there"})
    judged = reached.model_copy(update={"epochs_judged": 1})
    assert told(again, judged) == "trial 14, labels alone, repetition 1, 1 more pass"


def test_one_lucky_seed_does_not_beat_a_network_with_more():
    assert shipping([full("a", 0.05), full("b", 0.1), full("b", 0.1, seed=1)]).network == "b"


def test_a_tie_goes_to_the_arm_without_a_teacher():
    taught = full("a", 0.1, arm="distilled", taught=True)
    assert shipping([taught, full("a", 0.1)]).arm == "labels"


STUDENTS = st.lists(
    st.builds(
        full, network=st.sampled_from("abc"), value=st.floats(0.0, 1.0), seed=st.integers(0, 2)
    )
    | st.builds(brief, network=st.sampled_from("abcd"), value=st.floats(0.0, 1.0)),
    min_size=1,
    unique_by=lambda contender: contender.name,
)


@pytest.mark.slow
@given(held=STUDENTS, deviation=st.floats(0.0, 0.05))
@settings(max_examples=200, deadline=None)
def test_nothing_in_a_folder_is_better_than_what_ships_by_the_rule(held, deviation):
    ships = shipping(held, deviation=deviation)
    trained = [c for c in held if c.weights == "full"]
    briefly = [c.value for c in held if c.weights == "brief"]
    if ships.weights == "brief":
        assert ships.value == min(briefly)
        return
    own = [c.value for c in trained if c.network == ships.network]
    for network in {c.network for c in trained}:
        others = [c.value for c in trained if c.network == network]
        # No network with as many seeds has a better mean, and none has more seeds.
        assert len(others) <= len(own)
        assert len(others) < len(own) or np.mean(others) >= np.mean(own) - 1e-12
    assert ships.value == min(own)
    if briefly:  # brief weights that are ahead are so by no more than the luck of the best of them
        assert min(briefly) + expected_luck(len(briefly), deviation) >= ships.value


def test_nothing_cannot_ship():
    with pytest.raises(ValueError, match="nothing was trained"):
        shipping([])
