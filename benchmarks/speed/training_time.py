"""Fits how long training takes: the constants of `hwkd.cost.training_time`.

    nice python -m benchmarks.speed.training_time

Trains random students of every search space for a few steps on one thread and prints the
constants, and how far the fit is from what was measured. Processor time of the thread is counted,
not the clock, so that other work on the machine disturbs little.
"""

from __future__ import annotations

import sys
import time
from statistics import median

import numpy as np
import torch
from scipy.optimize import nnls
from torch.nn.functional import cross_entropy

from benchmarks.lib.results import Json
from benchmarks.lib.verdict import Target, report
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.student import Layers
from hwkd.cost.graph import build_graph
from hwkd.cost.training_time import TrainingWork, predicted_training_s, training_work
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module

_SHAPES = ((1, 28, 28), (3, 32, 32), (6, 128), (1, 40, 49))
_PER_SPACE_AND_SHAPE = 6
_BATCH = 128
_STEPS = 5
_NEAR, _ENOUGH = (0.7, 1.3), 0.8


def main() -> int:
    """Measure, fit and print; returns 1 when the constants in use are off."""
    torch.set_num_threads(1)
    discover("hwkd.search_spaces")
    measured = []
    for name in SEARCH_SPACES.names():
        for shape in _SHAPES:
            chooser = RandomChooser(1)
            for _ in range(_PER_SPACE_AND_SHAPE):
                space = SEARCH_SPACES.get(name)
                layers = space.layers(space.suggest(chooser, input_shape=shape, num_outputs=10))
                measured.append((name, layers, _step_s(layers) / _BATCH))
    work = [training_work(build_graph(layers)) for _, layers, _ in measured]
    rows = np.array([[*_amounts(entry)] for entry in work], dtype=float)
    seconds = np.array([sample_s for _, _, sample_s in measured])
    # Divided by what was measured: relative errors count, so that small networks count too.
    fitted, _ = nnls(rows / seconds[:, None], np.ones(len(seconds)))
    values: dict[str, Json] = {}
    for amount, constant in zip(TrainingWork.__dataclass_fields__, fitted, strict=True):
        print(f"{amount:20s} {constant:.3g} s for each")
        values[f"{amount}, s for each"] = float(constant)
    for title, predicted in (
        ("this fit", rows @ fitted),
        ("constants in use", [_predicted_s(layers) for _, layers, _ in measured]),
    ):
        print(title)
        ratios = np.asarray(predicted) / seconds
        for name in SEARCH_SPACES.names():
            found = [r for r, (space, _, _) in zip(ratios, measured, strict=True) if space == name]
            low, high = np.quantile(found, (0.1, 0.9))
            print(f"  {name:20s} {low:.2f} {median(found):.2f} {high:.2f} of measured")
    near = (ratios >= _NEAR[0]) & (ratios <= _NEAR[1])
    what = f"predictions for {len(ratios)} students, {_NEAR[0]} to {_NEAR[1]} of measured"
    return report([Target(what, float(near.mean()), _ENOUGH, at_least=True)], values)


def _amounts(work: TrainingWork) -> tuple[float, ...]:
    return (
        work.operators / _BATCH,
        *(getattr(work, n) for n in list(work.__dataclass_fields__)[1:]),
    )


def _predicted_s(layers: Layers) -> float:
    return predicted_training_s(build_graph(layers), samples_seen=1, batch_size=_BATCH)


def _step_s(layers: Layers) -> float:
    """Return the processor time of one training step."""
    module = build_module(layers, seed=0)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    inputs = torch.randn(_BATCH, *layers.input_shape)
    labels = torch.arange(_BATCH) % 10
    spent = []
    for _ in range(_STEPS + 1):
        started = time.thread_time()
        optimizer.zero_grad()
        loss = cross_entropy(module(inputs), labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        spent.append(time.thread_time() - started)
    return median(spent[1:])


if __name__ == "__main__":
    sys.exit(main())
