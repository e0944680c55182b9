from dataclasses import replace

import numpy as np
import pytest
import torch
from support.heads import LabelsAlone
from torch import nn

from hwkd.core.layers_builder import LayersBuilder
from hwkd.tasks.base import Split
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.pace import measure_pace
from hwkd.train.recipe import choose_recipe, network_kind


def split(count=4_000, shape=(1, 28, 28)):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(count, *shape)).astype(np.float32)
    return Split(inputs=inputs, labels=np.arange(count) % 10)


@pytest.mark.slow
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


@pytest.mark.parametrize(("nature", "rate"), [("scenes", 0.7), ("boxes", 0.5)])
def test_answers_for_each_position_are_learned_in_small_batches_and_as_they_are(nature, rate):
    many = split(12_000, (1, 16, 16))
    left_half = np.repeat(np.arange(16) < 8, 16).reshape(16, 16).T
    answers = {
        "scenes": np.repeat(left_half[None].astype(np.int16), 12_000, axis=0),
        "boxes": np.full((12_000, 1, 5), [0.0, 0.0, 0.0, 8.0, 16.0], np.float32),
    }
    maps = replace(many, nature=nature, labels=answers[nature])
    of_maps = choose_recipe(maps, samples=780_000)
    of_classes = choose_recipe(many, samples=780_000)
    assert (of_maps.batch_size, of_classes.batch_size) == (32, 128)
    # A quarter of the batch is half the rate.
    assert of_maps.learning_rate == pytest.approx(rate * of_classes.learning_rate)
    assert (of_maps.label_smoothing, of_classes.label_smoothing) == (0.0, 0.1)


def test_products_of_activations_take_another_optimizer():
    builder = LayersBuilder((4, 4, 1))
    plain = builder.conv(builder.image, "stem", 4)
    builder.classifier(plain, 3)
    assert network_kind(builder.build()) == "convolutional"
    data = split(100, (4, 8))
    attention = choose_recipe(data, "attention", samples=30_000)
    assert (attention.optimizer, choose_recipe(data, samples=30_000).optimizer) == ("adamw", "sgd")


@pytest.fixture
def examples():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 1, 2, 3, generator=generator)
    labels = inputs.flatten(1)[:, :3].argmax(dim=1)
    return inputs, labels


def build(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 3))


def test_half_precision_is_chosen_only_where_it_is_faster_in_every_turn(examples):
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
        inputs, labels = examples
        found = measure_pace(
            module, inputs, labels, ClassesHead.numbered(3), config, clock=PacedClock(half_s)
        )
        assert torch.equal(before, module[1].weight)
        return found

    batch = config.batch_size
    half, single = pace(9.0, 0.5, 0.4), pace(0.1, 0.5, 0.9)
    assert (half.precision, single.precision) == ("bfloat16", "float32")
    assert half.samples_per_s == pytest.approx(3 * batch / 0.4)
    assert single.samples_per_s == pytest.approx(3 * batch)


def test_balanced_accuracy_gives_every_class_the_same_weight():
    labels = np.array([0] * 90 + [1] * 10)
    always_zero = np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (100, 1))
    found = ClassesHead.numbered(2).knowledge(always_zero, labels)
    assert found.value == 0.5
    assert 0.5 < found.needed <= 0.75
    assert not found.is_enough


def test_smoothed_labels_reach_the_loss():
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    batch = type("B", (), {"inputs": logits, "labels": torch.tensor([0])})
    terms = LabelsAlone(label_smoothing=0.3)(nn.Identity(), batch)
    logs = logits.log_softmax(dim=1)[0]
    assert float(terms["cross_entropy"]) == pytest.approx(float(-0.7 * logs[0] - 0.1 * logs.sum()))


def test_words_are_learned_with_a_decay_that_keeps_small_networks_from_learning_them_by_heart():
    words = replace(split(400, (1, 64)), nature="text")
    codes = replace(split(400, (8, 64)), nature="text")
    of_words, of_codes = (choose_recipe(data, samples=20_000) for data in (words, codes))
    assert (of_words.optimizer, of_codes.optimizer) == ("adamw", "sgd")
    attention = choose_recipe(codes, "attention", samples=20_000)
    assert of_words.weight_decay > 10 * attention.weight_decay
