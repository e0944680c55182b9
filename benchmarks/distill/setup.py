"""Students of fixed sizes, data and teachers for the distillation benchmarks."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.lib.scores import accuracy_ratio
from hwkd.core import catalog
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layers
from hwkd.engine.setup.transfer import TransferSet, transfer_set
from hwkd.io import discovery
from hwkd.io.machine import available_cores
from hwkd.nn.build import build_module
from hwkd.tasks.base import Split, TaskData
from hwkd.train.teacher import Teacher
from hwkd.train.teacher_open import open_teacher
from hwkd.train.teacher_trained import TeacherTraining

# name -> channels of the stem and of the three stages after it; the names are what 28 x 28 inputs
# and 10 classes give, in parameters: 2k 0.05, 8k 0.17, 20k 0.37 and 30k 0.55 million MACs.
STUDENT_CHANNELS = {
    "2k": (8, 12, 20, 32),
    "8k": (8, 24, 40, 48),
    "20k": (12, 32, 56, 88),
    "30k": (12, 40, 72, 108),
}
STRIDES = (2, 1, 2)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What is known about the labels, and to whom.

    Attributes:
        share: of the training samples whose label the student sees, 0 to 1.
        noise: share of those labels that are replaced by another class, 0 to 1.
        teacher_sees: "all" labels as they are, or "labelled": only what the student sees.
    """

    share: float = 1.0
    noise: float = 0.0
    teacher_sees: str = "all"

    @property
    def are_untouched(self) -> bool:
        """Whether the teacher learns from the data as it is."""
        return self.teacher_sees == "all" or (self.share == 1.0 and self.noise == 0.0)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where data and teacher come from; every process opens them from this."""

    data: Path | None
    teacher: str | None
    teacher_epochs: int | None


def student(name: str, data: TaskData) -> Layers:
    """Return a depthwise-separable student with one tap per stage, strided early."""
    stem, *stages = STUDENT_CHANNELS[name]
    builder = LayersBuilder(data.input_shape)
    here = builder.conv(builder.image, "stem", stem, kernel=3, stride=2, activation="relu")
    for number, (channels, stride) in enumerate(zip(stages, STRIDES, strict=True), start=1):
        here = builder.depthwise(here, f"deep{number}", kernel=3, stride=stride, activation="relu")
        here = builder.conv(here, f"wide{number}", channels, activation="relu")
        builder.tap(f"stage{number}", here)
    if name != "2k":
        here = builder.depthwise(here, "more", kernel=3, activation="relu")
        here = builder.conv(here, "mix", stages[-1], activation="relu")
    builder.classifier(here, data.num_outputs)
    return builder.build()


def parameters(layers: Layers) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in build_module(layers, seed=0).parameters())


def parser(description: str) -> argparse.ArgumentParser:
    """Return the options that every distillation benchmark has."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, default=None, help="images; none: the digits")
    options.add_argument("--teacher", default=None, help="as hwkd search --teacher; none: trained")
    options.add_argument("--teacher-epochs", type=int, default=None, help="of one trained here")
    options.add_argument("--epochs", type=int, default=10, help="over the whole training set")
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--students", nargs="+", default=None, choices=STUDENT_CHANNELS)
    options.add_argument("--processes", type=int, default=available_cores(), help="one core each")
    options.add_argument("--markdown", action="store_true", help="one table for all students")
    options.add_argument("--cells", type=Path, required=True, help="JSONL; finished cells stay")
    return options


@cache
def load_data(path: Path | None) -> TaskData:
    """Read the data once per process."""
    discovery.discover("hwkd.tasks")
    task = catalog.TASKS.get("classify")
    data: TaskData = task.data(path, split_seed=0)
    return data


@cache
def seen_labels(place: Place, labels: Labels) -> NDArray[np.int64]:
    """Return the labels as the student sees them: the same hidden and wrong ones for all."""
    data = load_data(place.data)
    true = data.train.labels
    generator = np.random.default_rng(0)
    seen = np.full_like(true, -1)
    kept = generator.permutation(len(true))[: round(labels.share * len(true))]
    seen[kept] = true[kept]
    wrong = kept[: round(labels.noise * len(kept))]
    shift = generator.integers(1, data.num_outputs, len(wrong))
    seen[wrong] = (true[wrong] + shift) % data.num_outputs
    return seen


@cache
def transfer(place: Place, labels: Labels) -> TransferSet:
    """Return what a student trains on: all inputs, and the labels that it sees."""
    return transfer_set(load_data(place.data), labels=seen_labels(place, labels))


@cache
def teacher(place: Place, labels: Labels) -> Teacher:
    """Open the teacher, or train it on the labels that it may see; cached on disk."""
    data = load_data(place.data)
    if not labels.are_untouched:
        seen = seen_labels(place, labels)
        known = seen >= 0
        data = replace(
            data,
            train=Split(inputs=data.train.inputs[known], labels=seen[known]),
            fingerprint=f"{data.fingerprint}:{labels.share:g}:{labels.noise:g}",
        )
    training = TeacherTraining(seed=0, epochs=place.teacher_epochs)
    return open_teacher(place.teacher, data, training=training, device=torch.device("cpu"))


def teacher_accuracy(place: Place, labels: Labels) -> float:
    """Return the teacher's test accuracy, 0 to 1."""
    test = load_data(place.data).test
    return accuracy_ratio(teacher(place, labels).logits(test.inputs), test.labels)
