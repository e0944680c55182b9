from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hwkd.core.layers_builder import LayersBuilder
from hwkd.tasks.base import Split
from hwkd.train.accuracy import balanced_accuracy_ratio, least_knowledge_ratio
from hwkd.train.criteria import CrossEntropy
from hwkd.train.pace import PaceBook, measure_pace
from hwkd.train.race import RaceData, race
from hwkd.train.recipe import choose_recipe, network_kind, race_variants


def split(count=4_000, shape=(1, 28, 28)):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(count, *shape)).astype(np.float32)
    return Split(inputs=inputs, labels=np.arange(count) % 10)


def test_longer_trainings_get_larger_batches_and_shifts():
    data = split(20_000, (1, 28, 28))
    brief, long = (choose_recipe(data, samples=samples) for samples in (30_000, 780_000))
    assert brief.batch_size < long.batch_size
    assert brief.learning_rate < long.learning_rate
    assert not any(brief.augmentation.shift)
    assert long.augmentation.shift == (1, 1)
    signals = choose_recipe(split(400, (6, 64)), samples=20_000)
    assert (signals.augmentation.shift, signals.augmentation.mirror) == ((5,), False)
    config = long.config(epochs=195, seed=3, time_budget_s=90.0)
    assert (config.epochs, config.seed, config.time_budget_s) == (195, 3, 90.0)
    assert config.augmentation == long.augmentation
    assert "sgd, one-cycle" in long.describe()


@pytest.mark.parametrize("count", [20, 300, 4_000, 60_000])
def test_every_epoch_has_several_steps(count):
    recipe = choose_recipe(split(count, (2, 6)), samples=30_000)
    assert recipe.batch_size in (16, 32, 64, 128)
    assert recipe.batch_size == 16 or count >= 8 * recipe.batch_size


def test_products_of_activations_take_another_optimizer():
    builder = LayersBuilder((4, 4, 1))
    plain = builder.conv(builder.image, "stem", 4)
    builder.classifier(plain, 3)
    assert network_kind(builder.build()) == "convolutional"
    data = split(100, (4, 8))
    attention = choose_recipe(data, "attention", samples=30_000)
    assert (attention.optimizer, choose_recipe(data, samples=30_000).optimizer) == ("adamw", "sgd")


@pytest.fixture
def race_data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 1, 2, 3, generator=generator)
    labels = inputs.flatten(1)[:, :3].argmax(dim=1)
    return RaceData(
        inputs=inputs[:200],
        labels=labels[:200],
        validation_inputs=inputs[200:],
        validation_labels=labels[200:],
    )


def build(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 3))


def test_a_race_finds_the_recipe_that_learns_and_repeats_itself(race_data):
    good = choose_recipe(split(200, (1, 2, 3)), samples=2_000)
    good = replace(good, augmentation=replace(good.augmentation, mirror=False, shift=()))
    lazy = replace(good, learning_rate=1e-6)
    wild = replace(good, learning_rate=1e12)
    results = [race([lazy, wild, good], build, race_data, samples=2_000, seed=1) for _ in range(2)]
    assert results[0].winner == good
    assert results[0] == results[1]
    assert [entry.recipe for entry in results[0].entries] == [lazy, wild, good]
    assert results[0].entries[2].accuracy_ratio > 0.8


def test_a_race_between_equals_is_won_by_the_default(race_data):
    default = choose_recipe(split(200, (1, 2, 3)), samples=400)
    close = replace(default, learning_rate=default.learning_rate * 1.001)
    assert race([default, close], build, race_data, samples=400).winner == default


def test_a_race_out_of_time_judges_those_that_ran(race_data):
    now_s = [0.0]

    def clock():
        now_s[0] += 1.0
        return now_s[0]

    default = choose_recipe(split(200, (1, 2, 3)), samples=400)
    result = race(
        list(race_variants(default)), build, race_data, samples=40_000, time_budget_s=12.0,
        clock=clock,
    )  # fmt: skip
    assert 1 <= len(result.entries) <= 3
    assert now_s[0] <= 12.0 + 8.0


def test_half_precision_is_chosen_only_where_it_is_faster_in_every_turn(race_data):
    config = choose_recipe(split(200, (1, 2, 3)), samples=400).config(epochs=1, seed=0)

    class PacedClock:
        """Time passes by the precision that is active, and by which turn it is."""

        def __init__(self, half_s):
            self.now_s, self.half_s, self.reads = 0.0, list(half_s), 0

        def __call__(self):
            self.reads += 1
            timing, is_end = divmod(self.reads - 1, 2)
            if is_end:
                turn, is_half = divmod(timing, 2)
                self.now_s += self.half_s[turn] if is_half else 1.0
            return self.now_s

    def pace(*half_s):
        module = build(0)
        before = module[1].weight.clone()
        found = measure_pace(
            module, race_data.inputs, race_data.labels, config, clock=PacedClock(half_s)
        )
        assert torch.equal(before, module[1].weight)
        return found

    batch = config.batch_size
    half, single = pace(9.0, 0.5, 0.4), pace(0.1, 0.5, 0.9)
    assert (half.precision, single.precision) == ("bfloat16", "float32")
    assert half.samples_per_s == pytest.approx(3 * batch / 0.4)
    assert single.samples_per_s == pytest.approx(3 * batch)


def test_a_kind_of_network_is_timed_once(race_data):
    config = choose_recipe(split(200, (1, 2, 3)), samples=400).config(epochs=1, seed=0)
    book = PaceBook()
    first = book.pace("plain", build(0), race_data.inputs, race_data.labels, config)
    assert book.pace("plain", build(1), race_data.inputs, race_data.labels, config) is first
    assert first.samples_in(2.0) == round(2.0 * first.samples_per_s)


def test_balanced_accuracy_gives_every_class_the_same_weight():
    labels = np.array([0] * 90 + [1] * 10)
    always_zero = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (100, 1))
    assert balanced_accuracy_ratio(always_zero, labels) == 0.5
    assert 0.5 < least_knowledge_ratio(labels) <= 0.75


def test_smoothed_labels_reach_the_loss():
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    batch = type("B", (), {"inputs": logits, "labels": torch.tensor([0])})
    terms = CrossEntropy(label_smoothing=0.3)(nn.Identity(), batch)
    logs = logits.log_softmax(dim=1)[0]
    assert float(terms["cross_entropy"]) == pytest.approx(float(-0.7 * logs[0] - 0.1 * logs.sum()))
