"""What each part of the training loop costs, as ratios within one run.

usage: python -m benchmarks.speed.training_speed [--turns 9] [--batch 128] [--quick]

The same plain network of dense 3x3 convolutions on 28 x 28 images takes turns with every variant
of the loop, so that a busy machine slows all of them; the ratios of images per second are medians
over the turns. `--quick` makes 2 turns and judges nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import replace

import torch

from benchmarks.accuracy.recipes import student
from benchmarks.lib.verdict import Target, report
from hwkd.nn.build import build_module
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.augment import Augmentation
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import train_module

SHAPE, CLASSES, STEPS = (1, 28, 28), 10, 12
LEAST_WITH_EVERYTHING = 0.85


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--quick", action="store_true", help="2 turns, nothing is judged")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    variants = configs(arguments.batch)
    turns = 2 if arguments.quick else arguments.turns
    paces = measured(variants, arguments.batch, turns)
    reference = paces["sgd"]
    for name, pace in paces.items():
        ratio = relative(pace, reference)
        print(f"{name:32} {statistics.median(pace):10,.0f} images/s  {ratio:.3f} of sgd alone")
    code = report(
        [
            Target(
                "pace with augmentation and averaging, of sgd alone",
                relative(paces["sgd, augmented, averaged"], reference),
                LEAST_WITH_EVERYTHING,
                at_least=True,
            )
        ]
    )
    return 0 if arguments.quick else code


def relative(pace: list[float], reference: list[float]) -> float:
    """Return the median over the turns of one pace by another."""
    return statistics.median(one / other for one, other in zip(pace, reference, strict=True))


def configs(batch: int) -> dict[str, TrainConfig]:
    """Return what takes turns."""
    sgd = TrainConfig(epochs=1, batch_size=batch, optimizer="sgd", learning_rate=0.1)
    moved = Augmentation(shift=(1, 1), mirror=True)
    return {
        "sgd": sgd,
        "adamw": replace(sgd, optimizer="adamw", learning_rate=0.01),
        "sgd, augmented": replace(sgd, augmentation=moved),
        "sgd, averaged": replace(sgd, averaging_decay=0.99),
        "sgd, augmented, averaged": replace(sgd, augmentation=moved, averaging_decay=0.99),
        "sgd, bfloat16": replace(sgd, precision="bfloat16"),
    }


def measured(variants: dict[str, TrainConfig], batch: int, turns: int) -> dict[str, list[float]]:
    """Return images per second by variant, one number per turn."""
    generator = torch.Generator().manual_seed(0)
    samples = batch * STEPS
    inputs = torch.randn(samples, *SHAPE, generator=generator)
    labels = torch.randint(CLASSES, (samples,), generator=generator)
    module = build_module(student(SHAPE, CLASSES), seed=0)
    paces: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(turns + 1):  # the first one warms up
        for name, config in variants.items():
            result = train_module(
                module, TensorBatches([inputs], labels), TaskLoss(ClassesHead.numbered(2)), config
            )
            if turn:
                paces[name].append(result.steps * batch / result.seconds)
    return paces


if __name__ == "__main__":
    sys.exit(main())
