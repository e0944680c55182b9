"""Students of fixed sizes, data and teacher for the distillation benchmarks."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch

from hwkd.core import catalog
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layers
from hwkd.nn.build import build_module
from hwkd.tasks.base import TaskData
from hwkd.train.teacher import Teacher
from hwkd.train.teacher_open import open_teacher
from hwkd.train.teacher_trained import TeacherTraining

# name -> channels of the stem and of the three stages after it; the names are what 28 x 28 inputs
# and 10 classes give, in parameters.
STUDENT_CHANNELS = {
    "2k": (8, 10, 10, 18),
    "8k": (12, 16, 32, 44),
    "20k": (16, 32, 48, 80),
    "30k": (16, 40, 72, 88),
}


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a benchmark trains on."""

    data: TaskData
    teacher: Teacher
    device: torch.device


def student(name: str, data: TaskData) -> Layers:
    """Return a depthwise-separable student with one tap per stage."""
    stem, *stages = STUDENT_CHANNELS[name]
    builder = LayersBuilder(data.input_shape)
    here = builder.conv(builder.image, "stem", stem, kernel=3, stride=2, activation="relu")
    for number, channels in enumerate(stages, start=1):
        here = builder.depthwise(
            here, f"deep{number}", kernel=3, stride=2 if number > 1 else 1, activation="relu"
        )
        here = builder.conv(here, f"wide{number}", channels, activation="relu")
        builder.tap(f"stage{number}", here)
        here = builder.depthwise(here, f"more{number}", kernel=3, activation="relu")
        here = builder.conv(here, f"mix{number}", channels, activation="relu")
    builder.classifier(here, data.num_outputs)
    return builder.build()


def parameters(layers: Layers) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in build_module(layers, seed=0).parameters())


def parser(description: str) -> argparse.ArgumentParser:
    """Return the options that every distillation benchmark has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--data", type=Path, default=None, help="images; none: the digits")
    options.add_argument("--teacher", default=None, help="as hwkd search --teacher; none: trained")
    options.add_argument("--epochs", type=int, default=15)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--students", nargs="+", default=None, choices=STUDENT_CHANNELS)
    options.add_argument("--device", default="cpu")
    options.add_argument("--json", type=Path, default=None, help="also write every score here")
    return options


def load(options: argparse.Namespace) -> Setup:
    """Read the data and open the teacher."""
    catalog.discover("hwkd.tasks")
    data = catalog.TASKS.get("image").data(options.data, split_seed=0)
    device = torch.device(options.device)
    teacher = open_teacher(options.teacher, data, training=TeacherTraining(seed=0), device=device)
    return Setup(data=data, teacher=teacher, device=device)
