"""Which trainings end a search that has a time limit, and how long they are."""

from __future__ import annotations

import math
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from support.made_records import completed
from support.tiny_search import make_run

from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import InterruptedTrial
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.trial import EpochRecord
from hwkd.engine.arms.begun import furthest_begun
from hwkd.engine.arms.contest import held_contest
from hwkd.engine.arms.evaluation import student_bytes
from hwkd.engine.arms.orders import ArmOrder, order_folder, write_order
from hwkd.engine.arms.train_arm import train_arm
from hwkd.engine.search.ending import Ending, is_hard, may_go_on, not_affordable, rounds_in
from hwkd.engine.search.finish_again import samples_held
from hwkd.engine.search.last_trainings import last_trainings
from hwkd.nn.build import build_module
from hwkd.tasks.boxes_head import boxes_head
from hwkd.tasks.maps_head import MapsHead
from hwkd.tasks.reconstruction_head import ReconstructionHead
from hwkd.train.checkpoint import Checkpoints, Facts
from hwkd.train.config import TrainConfig
from hwkd.train.weights_file import fill_module

GOAL = ObjectiveConfig(mode="weighted", alpha=1.0, beta=0.0, gamma=0.0, target_latency_s=1.0)


BRIEF_PASSES, PASS_S = 4.0, 1.0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that learns from labels alone on two processes."""
    folder = tmp_path_factory.mktemp("alone")
    return make_run(folder, distill=[{"method": "none"}], workers=2)


def epochs_of(run, *, left_s, seeds=0, error=0.1):
    """Return trial -> passes of each training that there is time for, in order."""
    context = run.runner().context
    ranked = [
        completed(number, error=error + number / 100).model_copy(
            update={"epochs_made": BRIEF_PASSES, "training_s": BRIEF_PASSES * PASS_S}
        )
        for number in range(4)
    ]
    ending = Ending(
        goal=GOAL, has_teacher=False, epochs=2000, seeds=seeds, end_s=time.monotonic() + left_s
    )
    turns = last_trainings(ranked, context, run.store, ending, None, from_the_start=True)
    assert len({order.full_name for order in turns.orders}) == len(turns.orders)
    return [(order.trial, order.epochs) for order in turns.orders]


def test_the_best_network_is_also_trained_to_lengths_between_brief_and_whole(run):
    found = epochs_of(run, left_s=100 * PASS_S)
    between = [round(BRIEF_PASSES * (100 / BRIEF_PASSES) ** (step / 3)) for step in (1, 2)]
    assert found[0] == (0, 2000)
    assert found[1:3] == [(0, pytest.approx(epochs, abs=1)) for epochs in between]
    # What they leave of their core is another network's.
    assert found[3:] == [(1, 2000)]
    (one,) = [epochs for _, epochs in epochs_of(run, left_s=10 * PASS_S) if epochs < 2000]
    assert one == pytest.approx(math.sqrt(BRIEF_PASSES * 10), abs=1)


def test_where_much_is_wrong_two_networks_share_all_the_time(run):
    assert epochs_of(run, left_s=100 * PASS_S, error=0.3) == [(0, 2000), (1, 2000)]


def test_much_may_be_wrong_with_shares_of_classes_maps_and_things_alone():
    heads = {
        "maps": MapsHead(names=("a", "b"), grid=(8, 8)),
        "boxes": boxes_head(("a", "b")),
        "anomalies": ReconstructionHead(names=("a", "b")),
    }
    wrong = {
        name: is_hard(completed(0, error=0.6), SimpleNamespace(data=SimpleNamespace(head=head)))
        for name, head in heads.items()
    }
    assert wrong == {"maps": True, "boxes": True, "anomalies": False}


def test_a_training_of_what_errs_much_sees_twice_as_many_samples_before_the_next(run):
    context, (easy, hard) = run.runner().context, (completed(0, error=e) for e in (0.1, 0.3))
    of_each = [
        one.model_copy(update={"epochs_made": BRIEF_PASSES, "training_s": BRIEF_PASSES * PASS_S})
        for one in (easy, hard)
    ]
    # Of so many passes 500,000 samples are made in a time in which four trainings follow.
    left_s = 4 * 500_000 / len(context.data.train) * PASS_S
    assert [rounds_in(one, context, left_s, orders=20) for one in of_each] == [4, 2]


@pytest.fixture
def cut_off_run(tmp_path):
    """A run whose full training was killed after 20 passes by the clock."""
    run = make_run(tmp_path, distill=[{"method": "none"}], workers=2)
    context = run.runner().context
    spec = context.screen.spaces["depthwise"].suggest(
        RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3
    )
    ranked = [
        completed(0, error=0.1).model_copy(
            update={"spec": spec, "epochs_made": BRIEF_PASSES, "training_s": BRIEF_PASSES * PASS_S}
        )
    ]
    order = ArmOrder(
        name="labels-alone0-0", trial=0, spec=spec, repetition=0, arm="labels alone",
        processes=1, epochs=2000, budget_s=100.0,
    )  # fmt: skip
    module = build_module(context.given.layers(spec), seed=3)
    cut_off(run, order, module, passes=20)
    return run, context, ranked, order, module


def cut_off(run, order, module, *, passes):
    """Leave in a run folder what a training that is killed after some passes leaves."""
    folder = write_order(run.store.path, order)
    epochs = tuple(EpochRecord(epoch=n + 1, learning_rate=0.1, losses={}) for n in range(passes))
    checkpoints = Checkpoints(folder / "checkpoints", identity="x", say=pytest.fail, period_s=0.0)
    config = TrainConfig(epochs=2000, time_budget_s=100.0)
    kept = checkpoints.stage("train", config, leaves_weights=True)
    kept.offer(
        Facts(epochs=epochs, steps=80, elapsed_s=80.0),
        lambda: {f"module.{name}": tensor for name, tensor in module.state_dict().items()},
    )


def orders_in(run, context, ranked, *, left_s):
    end_s = None if left_s is None else time.monotonic() + left_s
    ending = Ending(goal=GOAL, has_teacher=False, epochs=2000, seeds=0, end_s=end_s)
    is_fresh = left_s is None or left_s > BRIEF_PASSES * PASS_S
    found = last_trainings(ranked, context, run.store, ending, None, from_the_start=is_fresh)
    return found.orders


def test_a_full_training_that_was_cut_off_is_gone_on_with(cut_off_run):
    run, context, ranked, order, module = cut_off_run
    first = orders_in(run, context, ranked, left_s=3 * PASS_S)[0]
    assert (first.goes_on, first.trial, first.arm) == (order.full_name, 0, "labels alone")
    assert first.samples_before == 20 * len(context.data.train)
    filled = build_module(context.given.layers(order.spec), seed=4)
    fill_module(filled, Path(first.start_from))
    assert all(map(torch.equal, filled.state_dict().values(), module.state_dict().values()))


def test_what_went_on_and_was_cut_off_again_counts_with_all_that_it_saw(cut_off_run):
    run, context, ranked, _, module = cut_off_run
    first = orders_in(run, context, ranked, left_s=3 * PASS_S)[0]
    cut_off(run, first, module, passes=5)
    second = orders_in(run, context, ranked, left_s=3 * PASS_S)[0]
    assert second.goes_on == first.full_name
    assert second.samples_before == 25 * len(context.data.train)


@pytest.mark.slow
def test_a_training_by_the_clock_that_is_killed_is_gone_on_with_to_its_end(
    cut_off_run, monkeypatch
):
    run, context, ranked, order, _ = cut_off_run
    shutil.rmtree(order_folder(run.store.path, order))
    often = partial(Checkpoints, period_s=0.0, share=math.inf)
    monkeypatch.setattr("hwkd.engine.arms.checkpoints.Checkpoints", often)
    by_the_clock = order.model_copy(update={"end_s": time.monotonic() + 1e4})
    folder, left = write_order(run.store.path, by_the_clock), iter(range(40))

    def check():
        if next(left, None) is None:
            raise InterruptedTrial

    with pytest.raises(InterruptedTrial):
        train_arm(by_the_clock, context, folder, check=check)
    examples = len(context.data.train)
    begun = furthest_begun(run.store.path, examples=examples)
    assert begun.order.full_name == order.full_name
    (on, *_) = orders_in(run, context, ranked, left_s=3 * PASS_S)
    assert on.samples_before == begun.passes * examples > 0
    folder = write_order(run.store.path, on.model_copy(update={"epochs": 1}))
    result = train_arm(on.model_copy(update={"epochs": 1}), context, folder)
    assert result.epochs_judged == 1
    # What was cut off lies there still, and has no say any more.
    winner = SimpleNamespace(weights="full", name="on")
    held = SimpleNamespace(winner=winner, trainings={"on": (on, result)})
    assert samples_held(held, ranked, context) > begun.samples(examples)


def test_where_a_longer_training_fits_it_comes_before_what_was_cut_off(cut_off_run):
    run, context, ranked, *_ = cut_off_run
    found = orders_in(run, context, ranked, left_s=100 * PASS_S)
    assert not found[0].goes_on
    assert [bool(order.goes_on) for order in found].count(True) == 1


def test_where_none_from_the_start_fits_the_best_brief_weights_are_trained_further(cut_off_run):
    run, context, (record,), order, module = cut_off_run
    shutil.rmtree(order_folder(run.store.path, order))
    record = record.model_copy(
        update={"weights": run.store.artifacts.put(student_bytes(module)), "duration_s": 5.0}
    )
    judging_s = 2 * 1.0 + 5 * 0.3  # of one candidate whose judging took a second
    for left_s, may in ((judging_s + 0.5, False), (judging_s + 2.0, True), (1e3, True)):
        ending = Ending(
            goal=GOAL, has_teacher=False, epochs=2000, seeds=0, end_s=time.monotonic() + left_s
        )
        assert may_go_on([record], ending) == may
        is_short = left_s < 1.2 * BRIEF_PASSES * PASS_S + judging_s
        assert bool(not_affordable([record], ending)) == is_short
    held = held_contest(run.store.path, [record], context, GOAL)
    ending = replace(ending, end_s=time.monotonic() + judging_s + 2.0)
    found = last_trainings([record], context, run.store, ending, held, from_the_start=False)
    assert [order.goes_on for order in found.orders] == ["trial 0"]
    filled = build_module(context.given.layers(record.spec), seed=4)
    fill_module(filled, Path(found.orders[0].start_from))
    assert all(map(torch.equal, filled.state_dict().values(), module.state_dict().values()))


def test_without_a_limit_trainings_go_on_by_themselves(cut_off_run):
    run, context, ranked, *_ = cut_off_run
    assert not any(order.goes_on for order in orders_in(run, context, ranked, left_s=None))


@pytest.mark.parametrize("more", [{"left_s": 8 * PASS_S}, {"left_s": 100 * PASS_S, "seeds": 2}])
def test_nothing_shorter_is_made_of_a_short_training_or_beside_seeds(run, more):
    assert {epochs for _, epochs in epochs_of(run, **more)} == {2000}


def test_a_search_that_ends_by_a_scheme_trains_the_controls_that_have_none(tmp_path):
    training = {"brief_epochs": 1, "full_epochs": 1, "controls": 1}
    scheme = {"scheme": "dml", "peers": 2}
    run = make_run(tmp_path, distill=[{"method": "none"}], scheme=scheme, training=training)
    ending = Ending(goal=GOAL, has_teacher=False, epochs=1, seeds=1)
    context = run.runner().context
    spec = context.screen.spaces["depthwise"].suggest(
        RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3
    )
    ranked = [completed(0).model_copy(update={"spec": spec})]
    turns = last_trainings(ranked, context, run.store, ending, None, from_the_start=True)
    assert [order.arm for order in turns.orders] == [
        "scheme", "scheme without distillation", "cross-entropy", "label smoothing"
    ]  # fmt: skip
