from __future__ import annotations

from typing import Any

import pytest
import torch
from support.heads import LabelsAlone
from torch import nn
from torch.nn import functional
from torch.optim.optimizer import register_optimizer_step_pre_hook

from hwkd.core.signals import Batch
from hwkd.core.teaching import TrainingSet
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.taps import Places
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.augment import Augmentation
from hwkd.train.batches import TensorBatches
from hwkd.train.loop import (
    TrainConfig,
    TrainingDivergedError,
    TrainingTimeoutError,
    predict_logits,
    train_module,
)

SAMPLES, FEATURES, CLASSES = 40, 6, 3


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(SAMPLES, FEATURES, generator=generator)
    return inputs, inputs[:, :CLASSES].argmax(dim=1)


def batches_of(data):
    return TensorBatches([data[0]], data[1])


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Linear(FEATURES, CLASSES)


class Recording(LabelsAlone):
    """Cross-entropy that keeps the batches it saw."""

    def __init__(self):
        super().__init__()
        self.batches: list[Batch] = []

    def __call__(self, module, batch):
        self.batches.append(batch)
        return super().__call__(module, batch)


def learning_rates(data, config):
    seen = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: seen.append(optimizer.param_groups[0]["lr"])
    )
    train_module(linear(), batches_of(data), LabelsAlone(), config)
    hook.remove()
    return seen


def test_the_learning_rate_warms_up_and_ends_near_zero(data):
    config = TrainConfig(epochs=10, batch_size=8, learning_rate=0.1, warmup_ratio=0.2)
    rates = learning_rates(data, config)
    assert len(rates) == 50
    assert rates[:10] == pytest.approx([0.01 * (i + 1) for i in range(10)])
    assert max(rates) == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.1 * 0.005


def test_the_same_seed_trains_the_same_weights(data):
    first, second, other = linear(), linear(), linear()
    for module, seed in ((first, 5), (second, 5), (other, 6)):
        torch.rand(3)  # the global generator must not matter
        config = TrainConfig(epochs=2, batch_size=8, seed=seed)
        train_module(module, batches_of(data), LabelsAlone(), config)
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, other.weight)


def test_training_learns_and_leaves_the_module_in_evaluation_mode(data):
    module = linear()
    config = TrainConfig(epochs=40, batch_size=8, learning_rate=0.05)
    result = train_module(module, batches_of(data), LabelsAlone(), config)
    losses = [epoch.losses["cross_entropy"] for epoch in result.epochs]
    assert losses[-1] < 0.5 * losses[0]
    assert not module.training
    assert result.steps == 200
    right = predict_logits(module, data[0], batch_size=7).argmax(dim=1) == data[1]
    assert right.float().mean() > 0.9


def test_each_epoch_sees_every_sample_once_in_another_order(data):
    criterion = Recording()
    train_module(linear(), batches_of(data), criterion, TrainConfig(epochs=2, batch_size=8))
    ids = [batch.sample_ids for batch in criterion.batches]
    epochs = [torch.cat(ids[:5]), torch.cat(ids[5:])]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(SAMPLES))
    assert not torch.equal(*epochs)
    for batch in criterion.batches:
        assert torch.equal(batch.inputs, data[0][batch.sample_ids])
        assert torch.equal(batch.labels, data[1][batch.sample_ids])
    ratios = [batch.epoch_ratio for batch in criterion.batches]
    assert ratios == pytest.approx([i / 10 for i in range(10)])


def test_epochs_take_turns_with_the_views(data):
    criterion = Recording()
    views = [data[0], data[0] + 1.0]
    train_module(
        linear(), TensorBatches(views, data[1]), criterion, TrainConfig(epochs=3, batch_size=40)
    )
    assert [batch.copy for batch in criterion.batches] == [0, 1, 0]
    assert torch.equal(criterion.batches[1].inputs, views[1][criterion.batches[1].sample_ids])


@pytest.mark.parametrize(
    ("drawn", "batch_size", "steps"), [(None, 16, 2), (20, 8, 2), (3, 8, 1), (None, 1000, 1)]
)
def test_steps_follow_from_samples_drawn_and_batch_size(data, drawn, batch_size, steps):
    config = TrainConfig(epochs=1, batch_size=batch_size, samples_per_epoch=drawn)
    criterion = Recording()
    assert train_module(linear(), batches_of(data), criterion, config).steps == steps
    assert all(len(batch.labels) >= 2 for batch in criterion.batches)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_raises_and_names_the_term(data, bad):
    class Broken(LabelsAlone):
        def __call__(self, module, batch):
            return {**super().__call__(module, batch), "kd": torch.tensor(bad)}

    with pytest.raises(TrainingDivergedError, match="loss term kd is not finite in epoch 1"):
        train_module(linear(), batches_of(data), Broken(), TrainConfig(epochs=2, batch_size=8))


def test_training_past_its_time_limit_raises(data):
    config = TrainConfig(epochs=3, batch_size=8, time_limit_s=0.0)
    with pytest.raises(TrainingTimeoutError, match="ran past 0 s in epoch 1 of 3"):
        train_module(linear(), batches_of(data), LabelsAlone(), config)


def test_the_check_before_every_step_can_stop_training(data):
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_module(
            linear(), batches_of(data), LabelsAlone(), TrainConfig(epochs=9, batch_size=8),
            check=check,
        )  # fmt: skip
    assert len(calls) == 4


def test_epochs_are_reported_as_they_end(data):
    heard: list[Any] = []
    result = train_module(
        linear(), batches_of(data), LabelsAlone(), TrainConfig(epochs=3), on_epoch=heard.append
    )
    assert tuple(heard) == result.epochs
    assert [record.epoch for record in heard] == [1, 2, 3]


def test_parameters_of_the_criterion_are_trained_too(data):
    class Shifted(LabelsAlone):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.zeros(CLASSES))

        def __call__(self, module, batch):
            loss = functional.cross_entropy(module(batch.inputs) + self.shift, batch.labels)
            return {"cross_entropy": loss}

        def parameters(self):
            return (self.shift,)

    criterion = Shifted()
    train_module(linear(), batches_of(data), criterion, TrainConfig(epochs=2, batch_size=8))
    assert criterion.shift.abs().max() > 0


def test_a_distillation_by_no_method_is_cross_entropy(data):
    plain, mixed = linear(), linear()
    config = TrainConfig(epochs=2, batch_size=8)
    train_module(plain, batches_of(data), LabelsAlone(), config)
    nothing = DistillCriterion(
        [],
        student=mixed,
        student_places=Places(),
        source=None,
        data=TrainingSet(
            copies=[data[0]], labels=data[1], head=ClassesHead.numbered(CLASSES), batch_size=8
        ),
    )
    train_module(mixed, batches_of(data), nothing, config)
    torch.testing.assert_close(plain.weight, mixed.weight, rtol=1e-6, atol=1e-7)


class Ticking:
    """A clock that moves on by so much whenever it is read."""

    def __init__(self, step_s):
        self.step_s, self.now_s = step_s, 0.0

    def __call__(self):
        self.now_s += self.step_s
        return self.now_s


def test_a_time_budget_ends_a_training_with_the_part_of_the_epoch_that_it_made(data):
    config = TrainConfig(epochs=1000, batch_size=8, time_budget_s=9.0, schedule="one-cycle")
    heard: list[Any] = []
    result = train_module(
        linear(), batches_of(data), LabelsAlone(), config, clock=Ticking(1.0),
        on_epoch=heard.append,
    )  # fmt: skip
    assert result.ended_by == "time"
    assert 5 < result.steps <= 9
    assert result.epochs_made == result.steps / 5
    assert len(result.epochs) == len(heard) == 2
    assert result.epochs[-1].learning_rate < 0.3 * config.learning_rate


def test_a_roomy_budget_changes_nothing(data):
    modules = [linear(), linear()]
    for module, budget_s in zip(modules, (None, 1e9), strict=True):
        config = TrainConfig(epochs=3, batch_size=8, time_budget_s=budget_s)
        result = train_module(module, batches_of(data), LabelsAlone(), config, clock=Ticking(1e-3))
        assert (result.ended_by, result.steps, result.epochs_made) == ("epochs", 15, 3.0)
    assert torch.equal(modules[0].weight, modules[1].weight)


def test_averaged_weights_are_the_mean_of_those_at_every_fourth_step(data):
    batches = [4, 8]  # steps at which weights enter the average
    seen = []

    class Watching(LabelsAlone):
        def __call__(self, module, batch):
            seen.append(module.weight.detach().clone())
            return super().__call__(module, batch)

    module = linear()
    config = TrainConfig(epochs=2, batch_size=8, averaging_decay=0.9)
    assert train_module(module, batches_of(data), Watching(), config).steps == 10
    first, second = (seen[number] for number in batches)
    torch.testing.assert_close(module.weight, first.lerp(second, 1 - 2 / 11))
    assert not module.training


def test_averaged_weights_come_with_statistics_of_their_own(data):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(FEATURES, 4), nn.BatchNorm1d(4), nn.Linear(4, CLASSES))
    config = TrainConfig(epochs=20, batch_size=8, averaging_decay=0.9)
    train_module(module, batches_of(data), LabelsAlone(), config)
    features = module[0](data[0])
    torch.testing.assert_close(module[1].running_mean, features.mean(dim=0))


def test_sgd_steps_are_nesterov_steps(data):
    module = linear()
    config = TrainConfig(
        epochs=2, batch_size=40, optimizer="sgd", learning_rate=0.1, weight_decay=0.01,
        schedule="one-cycle", warmup_ratio=0.0,
    )  # fmt: skip
    train_module(module, batches_of(data), LabelsAlone(), config)
    reference = linear()
    momentum = {parameter: torch.zeros_like(parameter) for parameter in reference.parameters()}
    for rate in (0.1, 0.05):
        reference.zero_grad()
        functional.cross_entropy(reference(data[0]), data[1]).backward()
        for parameter, moving in momentum.items():
            decay = 0.01 if parameter.dim() > 1 else 0.0
            gradient = parameter.grad + decay * parameter.detach()
            moving.mul_(0.9).add_(gradient)
            with torch.no_grad():
                parameter -= rate * (gradient + 0.9 * moving)
    torch.testing.assert_close(module.weight, reference.weight)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_losses_and_weights_stay_in_single_precision(data, precision):
    class Watching(LabelsAlone):
        def __call__(self, module, batch):
            self.dtype = module(batch.inputs).dtype
            return super().__call__(module, batch)

    module, criterion = linear(), Watching()
    config = TrainConfig(epochs=1, precision=precision)
    result = train_module(module, batches_of(data), criterion, config)
    assert criterion.dtype == getattr(torch, precision)
    assert module.weight.dtype == torch.float32
    assert result.epochs[0].losses["cross_entropy"] > 0


def test_augmented_training_repeats_by_its_seed():
    inputs = torch.randn(SAMPLES, 1, 3, 2, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(SAMPLES) % CLASSES
    weights = []
    for seed in (5, 5, 6):
        module = nn.Sequential(nn.Flatten(), linear())
        config = TrainConfig(
            epochs=2, batch_size=8, seed=seed, augmentation=Augmentation(shift=(1, 0), mirror=True)
        )
        train_module(module, TensorBatches([inputs], labels), LabelsAlone(), config)
        weights.append(module[1].weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
