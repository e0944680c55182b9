"""What a training recipe reaches after equal epochs: the plain one against the chosen one.

usage: python -m benchmarks.accuracy.recipes [--data FOLDER] [--epochs 10 40 195] [--seeds 3]
           [--sets fashion digits signals] [--recipes plain chosen mixup ...] [--json]

Epochs and not seconds are compared, so that a busy machine gives the same numbers. The student is
one plain network of dense 3x3 convolutions (8 s2, 16 s2, 16, 32 s2, 24; on tiny images and on
signals it strides less), the sets are:

- fashion: 500 examples per class of Fashion-MNIST's training set (a folder with its IDX files),
  a fifth of them for validation, judged on the official test set of 10,000.
- digits: scikit-learn's, 1,797 images of 8 x 8, a fifth each for validation and test.
- signals: six channels of 64 time steps, eight classes that differ in the frequencies of two
  channels and in which of the two leads, from generators of 12 "people" who differ in pace,
  amplitude and drift; trained on 8 of them, judged on the others.

"plain" is AdamW with a cosine and nothing else; "chosen" is `hwkd.train.recipe.choose_recipe`;
"distilled" is the chosen one with soft targets from a teacher's logits of the plain samples,
whatever the augmentation did to the batch, and "followed" the same from a teacher that runs on
every augmented batch. "mixup" (Zhang et al. 2018, arXiv:1710.09412, strength .2) and "cutmix" (Yun
et al. 2019, arXiv:1905.04899, on half of the batches) mix pairs of the chosen recipe's samples;
"turned" and "turned more" make steps of one length in all directions (`hwkd.train.turned`), a tenth
and a fifth as long as other weights' rate; "half batch", "double batch" and "unaugmented" change
one thing of it: the best of them is what a race among recipes could win at most. Every cell prints
validation and test accuracy, mean over seeds.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.lib.results import Json
from benchmarks.lib.verdict import report
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.signals import Batch
from hwkd.core.student import Layers
from hwkd.core.teaching import TeacherSource, TrainingSet
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.sources import CachedSource, FunctionSource
from hwkd.distill.spec import parse_methods
from hwkd.distill.taps import student_places
from hwkd.nn.build import StudentModule, build_module
from hwkd.tasks.base import Split
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.augment import NO_AUGMENTATION
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import Criterion, TaskLoss
from hwkd.train.loop import predict_logits, train_module
from hwkd.train.recipe import TrainingRecipe, choose_recipe
from hwkd.train.seeded_torch import seeded_torch
from hwkd.train.teacher_net import MirrorAveraged, TeacherNetConfig, build_teacher_net

FASHION = Path("/usr/share/datasets/fashion-mnist")
PER_CLASS = 500
PLAIN_RATE = 0.02
CHANNELS = ((8, 2), (16, 2), (16, 1), (32, 2), (24, 1))
CHANNELS_OF_SMALL = ((8, 1), (16, 2), (16, 1), (32, 2), (24, 1))


@dataclass(frozen=True, kw_only=True)
class Sets:
    """The three splits of a data set."""

    train: Split
    validation: Split
    test: Split

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.train.labels.max()) + 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=FASHION, help="IDX files of Fashion-MNIST")
    parser.add_argument("--epochs", type=int, nargs="+", default=[10, 40, 195])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", nargs="+", default=["fashion", "digits", "signals"])
    parser.add_argument("--recipes", nargs="+", default=["plain", "chosen"])
    parser.add_argument("--teacher-epochs", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cells: list[Json] = []
    makers: dict[str, Callable[[], Sets]] = {
        "fashion": lambda: fashion(arguments.data),
        "digits": digits,
        "signals": signals,
    }
    for name in arguments.sets:
        sets = makers[name]()
        needs_teacher = {"distilled", "followed"} & set(arguments.recipes)
        teacher = train_teacher(sets, arguments.teacher_epochs) if needs_teacher else None
        if teacher is not None:
            print(f"{name}: teacher, test {hit_ratio(teacher, sets.test):.4f}", flush=True)
        for epochs in arguments.epochs:
            for recipe in arguments.recipes:
                scores = [trained(sets, recipe, epochs, s, teacher) for s in range(arguments.seeds)]
                cells.append(cell(name, epochs, recipe, scores))
    return report([], {"cells": cells})


def cell(name: str, epochs: int, recipe: str, scores: list[tuple[float, float]]) -> Json:
    """Print one cell and return it."""
    validation, test = (statistics.mean(part) for part in zip(*scores, strict=True))
    tests = [round(score[1], 4) for score in scores]
    text = f"{name:8} {epochs:4} epochs  {recipe:9}"
    print(f"{text} validation {validation:.4f}  test {test:.4f}  {tests}", flush=True)
    found: dict[str, Json] = {"set": name, "epochs": epochs, "recipe": recipe}
    return {**found, "validation": round(validation, 4), "test": round(test, 4)}


def trained(
    sets: Sets, recipe: str, epochs: int, seed: int, teacher: torch.nn.Module | None
) -> tuple[float, float]:
    """Train a student; returns its accuracy on validation and test."""
    layers = student(sets.train.inputs.shape[1:], sets.classes)
    module = build_module(layers, seed=seed)
    inputs, labels = torch.from_numpy(sets.train.inputs), torch.from_numpy(sets.train.labels)
    batches = TensorBatches([inputs], labels)
    if recipe == "plain":
        config = TrainConfig(
            epochs=epochs,
            batch_size=64 if len(labels) < 10_000 else 128,
            learning_rate=PLAIN_RATE,
            seed=seed,
        )
        train_module(module, batches, TaskLoss(ClassesHead.numbered(2)), config)
    else:
        chosen = changed(choose_recipe(sets.train, samples=epochs * len(labels)), recipe)
        config = chosen.config(epochs=epochs, seed=seed)
        criterion: Criterion = TaskLoss(
            ClassesHead.numbered(2), label_smoothing=chosen.label_smoothing
        )
        if teacher is not None and recipe in ("distilled", "followed"):
            source: TeacherSource = (
                CachedSource([predict_logits(teacher, inputs)])
                if recipe == "distilled"
                else FunctionSource(
                    lambda batch: predict_logits(teacher, torch.from_numpy(batch)).numpy()
                )
            )
            criterion = distillation(module, layers, source, inputs, labels, config)
        elif recipe in ("mixup", "cutmix"):
            criterion = Mixed(criterion, cuts=recipe == "cutmix", seed=seed)
        train_module(module, batches, criterion, config)
    return hit_ratio(module, sets.validation), hit_ratio(module, sets.test)


_TURNED_RATIOS = {"turned": 0.1, "turned more": 0.2}


def changed(recipe: TrainingRecipe, how: str) -> TrainingRecipe:
    """Return the recipe with one thing changed, or as it is."""
    if how in _TURNED_RATIOS:
        return replace(recipe, optimizer="muon", turned_ratio=_TURNED_RATIOS[how])
    factor = {"half batch": 0.5, "double batch": 2.0}.get(how)
    if factor is not None:
        batch_size, rate = int(recipe.batch_size * factor), recipe.learning_rate * factor**0.5
        return replace(recipe, batch_size=batch_size, learning_rate=rate)
    return replace(recipe, augmentation=NO_AUGMENTATION) if how == "unaugmented" else recipe


class Mixed:
    """A criterion on pairs of samples, mixed whole or by a box, and on both their labels."""

    def __init__(self, criterion: Criterion, *, cuts: bool, seed: int) -> None:
        """Wrap the criterion of the labels."""
        self._criterion = criterion
        self._cuts = cuts
        self._random = np.random.default_rng(seed)

    def __call__(self, module: torch.nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the terms, weighted by what is seen of either sample."""
        order = torch.from_numpy(self._random.permutation(len(batch.labels)))
        share = float(self._random.beta(0.2, 0.2)) if not self._cuts else 1.0
        inputs = batch.inputs * share + batch.inputs[order] * (1.0 - share)
        if self._cuts and self._random.random() < 0.5:
            inputs, share = self._cut(batch.inputs, order)
        module_of_both = _Once(module(inputs))
        first = self._criterion(module_of_both, batch)
        second = self._criterion(module_of_both, replace(batch, labels=batch.labels[order]))
        return {name: share * first[name] + (1.0 - share) * second[name] for name in first}

    def _cut(self, inputs: Tensor, order: Tensor) -> tuple[Tensor, float]:
        mixed, box = inputs.clone(), []
        side = float(1.0 - self._random.random()) ** 0.5
        for size in inputs.shape[2:]:
            length = max(1, round(side * size))
            start = int(self._random.integers(0, size - length + 1))
            box.append(slice(start, start + length))
        where = (slice(None), slice(None), *box)
        mixed[where] = inputs[order][where]
        area = np.prod([b.stop - b.start for b in box]) / np.prod(inputs.shape[2:])
        return mixed, float(1.0 - area)

    def parameters(self) -> Sequence[torch.nn.Parameter]:
        """None."""
        return ()


class _Once(torch.nn.Module):
    """Gives outputs that were computed already."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self._outputs = outputs

    def forward(self, inputs: Tensor) -> Tensor:
        del inputs
        return self._outputs


def distillation(
    module: StudentModule,
    layers: Layers,
    source: TeacherSource,
    inputs: Tensor,
    labels: Tensor,
    config: TrainConfig,
) -> Criterion:
    """Return soft targets beside the labels."""
    return DistillCriterion(
        parse_methods(["kd:temperature=4"]),
        student=module,
        student_places=student_places(layers),
        source=source,
        data=TrainingSet(
            copies=[inputs],
            labels=labels,
            head=ClassesHead.numbered(int(labels.max()) + 1),
            batch_size=config.batch_size,
            seed=config.seed,
        ),
        steps_between_norms=1_000,
    )


def train_teacher(sets: Sets, epochs: int) -> torch.nn.Module:
    """Train the network that hwkd trains as a teacher, for a fixed number of epochs."""
    shape = sets.train.inputs.shape[1:]
    with seeded_torch(0):
        net = build_teacher_net(shape, sets.classes, TeacherNetConfig())
    inputs, labels = torch.from_numpy(sets.train.inputs), torch.from_numpy(sets.train.labels)
    recipe = choose_recipe(sets.train, samples=epochs * len(labels))
    config = recipe.config(epochs=epochs, seed=0)
    train_module(net, TensorBatches([inputs], labels), TaskLoss(ClassesHead.numbered(2)), config)
    return MirrorAveraged(net) if recipe.augmentation.mirror else net


def hit_ratio(module: torch.nn.Module, split: Split) -> float:
    """Return the accuracy, 0 to 1."""
    answers = predict_logits(module, torch.from_numpy(split.inputs)).argmax(dim=1).numpy()
    return float(np.mean(answers == split.labels))


def student(shape: tuple[int, ...], classes: int) -> Layers:
    """Return the plain network for inputs of a shape."""
    builder = LayersBuilder(shape)
    here = builder.image
    channels = CHANNELS if len(shape) == 3 and min(shape[1:]) >= 16 else CHANNELS_OF_SMALL
    for number, (width, stride) in enumerate(channels):
        here = builder.conv(
            here, f"conv{number}", width, kernel=3, stride=stride, activation="relu"
        )
    builder.classifier(here, classes)
    return builder.build()


def fashion(folder: Path) -> Sets:
    """Read 500 examples per class and the official test set."""

    def read(name: str, header_bytes: int) -> NDArray[np.uint8]:
        with gzip.open(folder / name) as content:
            return np.frombuffer(content.read(), np.uint8, offset=header_bytes)

    images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    labels = read("train-labels-idx1-ubyte.gz", 8).astype(np.int64)
    kept = np.concatenate([np.flatnonzero(labels == label)[:PER_CLASS] for label in range(10)])
    kept = np.random.default_rng(0).permutation(kept)
    train, validation = kept[len(kept) // 5 :], kept[: len(kept) // 5]
    test = Split(
        inputs=read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28).astype(np.float32),
        labels=read("t10k-labels-idx1-ubyte.gz", 8).astype(np.int64),
    )
    return normalised(
        Split(inputs=images[train].astype(np.float32), labels=labels[train]),
        Split(inputs=images[validation].astype(np.float32), labels=labels[validation]),
        test,
    )


def digits() -> Sets:
    """Return scikit-learn's digits."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    parts = np.split(order, [len(order) // 5, 2 * len(order) // 5])
    splits = [
        Split(
            inputs=images[part].reshape(-1, 1, 8, 8).astype(np.float32),
            labels=labels[part].astype(np.int64),
        )
        for part in parts
    ]
    return normalised(splits[2], splits[0], splits[1])


def signals() -> Sets:
    """Return made signals; the people of the three parts are different ones."""
    generator = np.random.default_rng(0)
    times = np.arange(64) / 64.0

    def people(numbers: range, each: int) -> Split:
        labels = np.tile(np.arange(8), len(numbers) * each // 8)
        who = np.repeat(np.array(numbers), each)
        habits = np.random.default_rng(1).uniform(0.75, 1.3, size=(12, 2))
        inputs = np.empty((len(labels), 6, 64), dtype=np.float32)
        for row, (label, person) in enumerate(zip(labels, who, strict=True)):
            pace, size = habits[person]
            fast, leads = 3.0 + 2.0 * (label % 4), label >= 4
            start = generator.uniform(0.1, 0.5)
            bursts = [np.exp(-((times - start - late) ** 2) / 0.01) for late in (0.0, 0.3)]
            waves = [np.sin(2 * np.pi * pace * f * times) for f in (fast, fast + 1.0)]
            both = [size * wave * burst for wave, burst in zip(waves, bursts, strict=True)]
            drift = np.cumsum(generator.normal(scale=0.05, size=(6, 64)), axis=1)
            inputs[row] = drift + generator.normal(scale=0.25, size=(6, 64))
            inputs[row, 0 if leads else 1] += both[0]
            inputs[row, 1 if leads else 0] += both[1]
            inputs[row, 2] += 0.5 * (both[0] - both[1])
        return Split(inputs=inputs, labels=labels.astype(np.int64))

    return normalised(people(range(8), 160), people(range(8, 10), 160), people(range(10, 12), 400))


def normalised(train: Split, validation: Split, test: Split) -> Sets:
    """Return the splits with zero mean and unit deviation per channel of the train split."""
    axes = (0, *range(2, train.inputs.ndim))
    mean = train.inputs.mean(axis=axes, keepdims=True)
    deviation = train.inputs.std(axis=axes, keepdims=True)

    def scaled(split: Split) -> Split:
        inputs = ((split.inputs - mean) / deviation).astype(np.float32)
        return Split(inputs=inputs, labels=split.labels)

    return Sets(train=scaled(train), validation=scaled(validation), test=scaled(test))


if __name__ == "__main__":
    sys.exit(main())
