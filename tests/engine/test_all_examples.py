"""What ships may learn from validation once it is scored: only there, and never for the worse."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support.tiny_search import make_run

from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import InterruptedTrial
from hwkd.engine.arms import finish_arm
from hwkd.engine.arms.all_examples import learn_all, may_learn_all
from hwkd.engine.arms.orders import ArmOrder, ArmResult, read_result, student_files
from hwkd.engine.arms.recipes import Arm, arms_of
from hwkd.engine.arms.train_arm import train_arm
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.trainings import full_training
from hwkd.io.discovery import output_kind
from hwkd.nn.build import build_module

LABELS_ALONE = arms_of((), output_kind("classes"))[0]


@pytest.fixture(scope="module")
def context(tmp_path_factory) -> SearchContext:
    folder = tmp_path_factory.mktemp("all")
    return make_run(folder, distill=[{"method": "none"}]).runner().context


@pytest.fixture(scope="module")
def order(context) -> ArmOrder:
    spec = context.screen.spaces["narrow_deep"].suggest(
        RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3
    )
    return ArmOrder(
        name="arm", spec=spec, repetition=0, arm=LABELS_ALONE.name, processes=1, epochs=5,
        learns_all=True,
    )  # fmt: skip


def weights(folder, result):
    return load_file(student_files(folder, result).weights_path)


@pytest.fixture(scope="module")
def alone(context, order, tmp_path_factory) -> tuple[ArmResult, dict[str, torch.Tensor]]:
    """The arm that learns from the train split alone, and its weights."""
    folder = tmp_path_factory.mktemp("alone")
    found = train_arm(order.model_copy(update={"learns_all": False}), context, folder)
    return found, weights(folder, found)


def test_validation_of_the_user_and_compared_arms_are_left_alone(context):
    assert may_learn_all(context, LABELS_ALONE)
    assert not may_learn_all(context, Arm(name="cross-entropy"))
    given = replace(context, data=replace(context.data, validation_from_train=False))
    assert not may_learn_all(given, LABELS_ALONE)


@pytest.mark.slow
def test_a_chosen_student_ships_weights_that_learned_more_with_the_scores_it_was_chosen_by(
    context, order, alone, tmp_path
):
    alone, before = alone
    found = train_arm(order, context, tmp_path)
    assert alone.all_examples is None
    assert found.all_examples == len(context.data.train) + len(context.data.validation)
    assert (alone.epochs_judged, found.epochs_judged) == (None, alone.epochs)
    assert found.scores.validation_int8 == alone.scores.validation_int8
    assert found.objective == alone.objective
    assert found.epochs > alone.epochs
    after = weights(tmp_path, found)
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
def test_further_learning_that_goes_wrong_changes_nothing(
    context, order, alone, tmp_path, monkeypatch
):
    def ruined(module, *arguments, **options):
        result = SimpleNamespace(epochs=(), epochs_made=1.0)
        return build_module(candidate.layers, seed=99).eval(), result, 5

    candidate = context.given.candidate(order.spec)
    alone, before = alone
    assert alone.objective is not None
    assert alone.objective.task_error < 0.2
    monkeypatch.setattr(finish_arm, "learn_all", ruined)
    found = train_arm(order, context, tmp_path)
    assert found == alone
    assert not list(tmp_path.glob("*/student*")), "files of no use are left"
    after = weights(tmp_path, found)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.slow
def test_what_time_ends_leaves_the_student_as_it_was_scored(context, order, tmp_path, monkeypatch):
    def ended(*arguments, **options):
        raise InterruptedTrial

    monkeypatch.setattr(finish_arm, "learn_all", ended)
    with pytest.raises(InterruptedTrial):
        train_arm(order.model_copy(update={"end_s": time.monotonic() + 60.0}), context, tmp_path)
    found = read_result(tmp_path)
    assert found is not None
    assert found.all_examples is None
    assert found.scores.test_int8 is not None
    assert student_files(tmp_path, found).int8_path.is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("further", "ratio"), [(12, 0.2), (48, 0.5)])
def test_it_is_as_long_as_it_brings_examples_and_leaves_the_scored_student_as_it_was(
    context, order, further, ratio
):
    whole = context.data.validation
    held_back = replace(whole, inputs=whole.inputs[:further], labels=whole.labels[:further])
    context = replace(context, data=replace(context.data, validation=held_back))
    layers = context.given.candidate(order.spec).layers
    module = build_module(layers, seed=0).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    training = full_training(context, layers, repetition=0, epochs=2)
    count = len(context.data.train) + len(context.data.validation)
    student, result, examples = learn_all(
        module, context, training.config, samples_seen=10.0 * count, label_smoothing=0.1,
        budget_s=None, check=lambda: None,
    )  # fmt: skip
    assert examples == count
    assert result.epochs_made == ratio * 10
    assert all(torch.equal(before[name], t) for name, t in module.state_dict().items())
    moved = [not torch.equal(before[name], t) for name, t in student.state_dict().items()]
    assert np.mean(moved) > 0.5


@pytest.mark.slow
def test_recordings_of_others_are_learned_longer_and_with_their_copies(context, order):
    layers = context.given.candidate(order.spec).layers
    module = build_module(layers, seed=0).eval()
    held_back = context.data.validation
    of_others = replace(held_back, wholes=np.arange(len(held_back)))
    data = replace(context.data, validation=of_others, validation_copies=held_back)
    training = full_training(context, layers, repetition=0, epochs=2)
    count = len(context.data.train) + 2 * len(held_back)
    _, result, examples = learn_all(
        module, replace(context, data=data), training.config, samples_seen=4.0 * count,
        label_smoothing=0.1, budget_s=None, check=lambda: None,
    )  # fmt: skip
    assert examples == count
    assert result.epochs_made == 0.5 * 4
