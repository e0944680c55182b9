"""Students that never saw a sample of the data, beside one with data: accuracy over samples made.

python -m benchmarks.distill.data_free [--samples 100 300 1000 3000] [--seeds 3] [--size 8k]

A teacher makes samples by each way of `hwkd generate`; students learn from its answers on them, for
as many steps as the student with data. Accuracy is that of the int8 file on the test split, whose
ranges are those of the made samples, too. Fails if the best way at the most samples keeps under 60%
of the accuracy above chance of the student with data.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch

from benchmarks.distill.setup import Labels, Place, load_data, student, teacher
from benchmarks.distill.taught_on import taught, with_train
from benchmarks.lib.verdict import Target, report
from hwkd.core.progress import silent
from hwkd.distill.maker import Making, parse_maker
from hwkd.engine.setup.made import normalised_range
from hwkd.nn.build import build_module
from hwkd.tasks.base import TaskData
from hwkd.train.seeded_torch import seeded_torch
from hwkd.train.teacher_module import ModuleTeacher

# Of the accuracy above chance of a student with data.
LEAST_SHARE = 0.60
MAKERS = (
    "inversion", "inversion:competition=1", "generator:way=dafl", "generator:way=dfad",
    "generator:way=zskt",
)  # fmt: skip
# Uniform values in the range of the data: what any maker must beat.
NOISE = "noise"


def made_by(
    maker: str, samples: int, data: TaskData, taught_by: ModuleTeacher, *, size: str, seed: int
) -> TaskData:
    """Return data whose train split was made."""
    low, high = map(torch.from_numpy, normalised_range(data.pipeline.record()))
    layers = student(size, data)
    making = Making(
        teacher=taught_by.module,
        student=lambda draw: build_module(layers, seed=1000 * seed + draw),
        input_shape=data.input_shape,
        classes=data.num_outputs,
        low=low,
        high=high,
        inputs=torch.from_numpy(np.array(data.train.inputs)),
        labels=torch.from_numpy(np.array(data.train.labels)),
        seed=seed,
        tell=silent,
    )
    with seeded_torch(seed):
        if maker == NOISE:
            inputs = low + torch.rand(samples, *data.input_shape) * (high - low)
            labels = making.answers(inputs).argmax(1)
        else:
            joint = "," if ":" in maker else ":"
            inputs, labels = parse_maker(f"{maker}{joint}samples={samples}").make(making)
    return with_train(data, inputs.numpy(), labels.numpy())


def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--samples", nargs="+", type=int, default=(100, 300, 1000, 3000))
    options.add_argument("--makers", nargs="+", default=(NOISE, *MAKERS))
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--size", default="8k")
    options.add_argument("--steps", type=int, default=1000, help="of 64 samples")
    chosen = options.parse_args(arguments)
    torch.set_num_threads(1)
    data = load_data(None)
    known = teacher(Place(data=None, teacher=None, teacher_epochs=None), Labels())
    assert isinstance(known, ModuleTeacher)
    how = {"size": chosen.size, "steps": chosen.steps}
    full = [taught(data, known, seed=seed, **how)[0] for seed in range(chosen.seeds)]
    chance = 1 / data.num_outputs
    print(f"with data ({len(data.train)} samples): {100 * np.mean(full):.2f} % int8 on test")
    print("\n| made by | " + " | ".join(map(str, chosen.samples)) + " |")
    print("|---|" + "--:|" * len(chosen.samples))
    curves: dict[str, list[float]] = {}
    for maker in chosen.makers:
        for samples in chosen.samples:
            scores = []
            for seed in range(chosen.seeds):
                made = made_by(maker, samples, data, known, size=chosen.size, seed=seed)
                scores.append(taught(made, known, seed=seed, **how)[0])
            curves.setdefault(maker, []).append(float(np.mean(scores)))
        shown = " | ".join(f"{100 * score:.2f} %" for score in curves[maker])
        print(f"| {maker} | {shown} |", flush=True)
    best = max(curves, key=lambda maker: curves[maker][-1])
    share = (curves[best][-1] - chance) / (np.mean(full) - chance)
    target = Target(
        f"accuracy above chance kept without data ({best}, {chosen.samples[-1]:,} samples)",
        float(share), LEAST_SHARE, True,
    )  # fmt: skip
    return report(
        [target], {"with data": float(np.mean(full)), "samples": list(chosen.samples), **curves}
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
