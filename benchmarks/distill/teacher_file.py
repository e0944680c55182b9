"""A teacher's answers as a file: size against the accuracy of students, at 100 classes.

python -m benchmarks.distill.teacher_file [--tops 1 2 4 8 16] [--seeds 3] [--size 8k]

The data are pairs of handwritten digits side by side, a class for each of the 100 pairs; the digits
of one split never meet those of another. Students learn from all outputs in float16, and from files
that keep fewer. Size is of the file, over that of all outputs. Fails if no file is 8 times smaller
while the paired difference of its students' accuracy is within its 95% interval or above 0.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.distill.setup import load_data
from benchmarks.distill.taught_on import taught
from benchmarks.lib.verdict import Target, report
from hwkd.engine.arms.verdict import paired_gain
from hwkd.tasks.base import Split, SplitName, TaskData
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.train.teacher_answers import load_answers, write_answers
from hwkd.train.teacher_open import open_teacher
from hwkd.train.teacher_trained import TeacherTraining

LEAST_RATIO = 8.0
CLASSES = 100
PAIRS: dict[SplitName, int] = {"train": 4000, "validation": 800, "test": 1500}


def pairs(split: Split, count: int, seed: int) -> RawSplit:
    """Return digits of a split put side by side, as many of each pair as of any other, about."""
    generator = np.random.default_rng(seed)
    digits = np.tile(np.arange(CLASSES), -(-count // CLASSES))[:count]
    rows = [np.flatnonzero(split.labels == digit) for digit in range(10)]

    def drawn(which: NDArray[np.int64]) -> NDArray[np.float32]:
        chosen = [generator.choice(rows[digit]) for digit in which]
        return np.asarray(split.inputs[chosen])

    inputs = np.concatenate([drawn(digits // 10), drawn(digits % 10)], axis=3)
    return RawSplit(inputs=inputs, labels=digits.astype(np.int64))


def pair_data() -> TaskData:
    """Return the data set of pairs."""
    single = load_data(None)
    train, validation, test = (
        pairs(single.split(name), count, seed) for seed, (name, count) in enumerate(PAIRS.items())
    )
    names = tuple(f"{label:02}" for label in range(CLASSES))
    raw = RawData(
        source="pairs of digits", class_names=names, train=train, validation=validation, test=test
    )
    return prepare(raw, ClassesHead(names=names), task="classify", split_seed=0)


def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--tops", nargs="+", type=int, default=(1, 2, 4, 8, 16))
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--size", default="8k")
    options.add_argument("--steps", type=int, default=1500, help="of 64 samples")
    options.add_argument("--teacher-epochs", type=int, default=None)
    chosen = options.parse_args(arguments)
    torch.set_num_threads(1)
    data = pair_data()
    training = TeacherTraining(seed=0, epochs=chosen.teacher_epochs)
    teacher = open_teacher(None, data, training=training, device=torch.device("cpu"))
    full_bytes = 2 * CLASSES * (len(data.train) + len(data.validation) + len(data.test))
    scores: dict[int | None, list[float]] = {}
    ratios: dict[int | None, float] = {}
    print(f"teacher: {teacher.description}")
    print("\n| classes kept | file | smaller | int8 test | over all outputs |")
    print("|--:|--:|--:|--:|--:|")
    with TemporaryDirectory() as folder:
        for top in (None, *chosen.tops):
            path = Path(folder) / f"{top}.safetensors"
            write_answers(path, teacher, data, top=top)
            kept = load_answers(path, data)
            ratios[top] = full_bytes / path.stat().st_size
            scores[top] = [
                taught(data, kept, size=chosen.size, seed=seed, steps=chosen.steps)[0]
                for seed in range(chosen.seeds)
            ]
            gain = paired_gain(scores[top], scores[None], over="all outputs")
            ends = (
                ""
                if gain.low is None or gain.high is None
                else f" ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})"
            )
            print(
                f"| {top or 'all'} | {path.stat().st_size:,} | {ratios[top]:.1f} | "
                f"{100 * np.mean(scores[top]):.2f} % | {100 * gain.mean:+.2f}{ends} |",
                flush=True,
            )
    fine = [
        top
        for top in chosen.tops
        if paired_gain(scores[top], scores[None], over="all").verdict != "loss"
    ]
    best = max((ratios[top] for top in fine), default=0.0)
    target = Target("how much smaller a file may be", best, LEAST_RATIO, True, 1.0, " times")
    kept_scores = {str(top): found for top, found in scores.items()}
    sizes = {str(top): ratio for top, ratio in ratios.items()}
    return report([target], {"accuracy": kept_scores, "smaller": sizes})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
