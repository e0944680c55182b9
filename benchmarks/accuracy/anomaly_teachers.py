"""What a teacher adds to a small network that scores anomalies: Shuttle, in float, by plain torch.

python -m benchmarks.accuracy.anomaly_teachers [--seeds 3]

A network's score of an example is how badly it repeats it, or how far it lies from its teacher's
answer. Teachers are frozen: drawn by chance, or the code and the output of a large autoencoder that
learned the same normal examples. The threshold lets through all but 0.1% of validation's normal
examples, and is judged on test. Takes about a minute of one core.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor, nn

from benchmarks.lib.verdict import Target, report
from tools.make_task_data import make_task_data

_EPOCHS, _BATCH, _RATE = 25, 512, 3e-3
_FALSE_ALARMS = 0.001
_Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One way to score, on test: parameters that firmware holds, those of a teacher among them."""

    average_precision: float
    auroc: float
    false_alarms: float
    parameters: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    with tempfile.TemporaryDirectory() as folder:
        path = make_task_data("anomaly", Path(folder) / "shuttle.csv")
        table = np.genfromtxt(path, delimiter=",", skip_header=1, dtype=np.float32)
    found = [judged(table[:, :-1], table[:, -1] == 1, seed) for seed in seeds]
    targets = []
    for name in found[0]:
        each = [of_seed[name] for of_seed in found]
        mean = {
            what: float(np.mean([getattr(one, what) for one in each]))
            for what in ("average_precision", "auroc", "false_alarms")
        }
        print(
            f"{name}: {each[0].parameters:,} parameters, AUROC {mean['auroc']:.4f}, average "
            f"precision {mean['average_precision']:.4f} "
            f"({min(one.average_precision for one in each):.4f} to "
            f"{max(one.average_precision for one in each):.4f}), false alarms "
            f"{mean['false_alarms']:.3%}"
        )
        if name == "code of a trained teacher":
            targets.append(
                Target(f"{name}, average precision", mean["average_precision"], 0.99, at_least=True)
            )
    return report(targets)


def judged(inputs: NDArray[np.float32], is_odd: NDArray[np.bool_], seed: int) -> dict[str, Judged]:
    """Train every way with one seed and judge it on test."""
    random = np.random.default_rng(seed)
    normal, odd = (random.permutation(np.flatnonzero(is_odd == one)) for one in (False, True))
    first, second = round(0.6 * len(normal)), round(0.8 * len(normal))
    held_back = normal[first:second]
    test = np.concatenate([normal[second:], odd[len(odd) // 2 :]])
    of_train = inputs[normal[:first]]
    scaled = torch.from_numpy((inputs - of_train.mean(0)) / (of_train.std(0) + 1e-6))
    torch.manual_seed(seed)
    found = {}
    for name, (score, parameters) in _ways(scaled[normal[:first]]).items():
        with torch.no_grad():
            scores = score(scaled).numpy()
        threshold = np.quantile(scores[held_back], 1 - _FALSE_ALARMS)
        found[name] = Judged(
            average_precision=float(average_precision_score(is_odd[test], scores[test])),
            auroc=float(roc_auc_score(is_odd[test], scores[test])),
            false_alarms=float((scores[normal[second:]] > threshold).mean()),
            parameters=parameters,
        )
    return found


def _ways(train: Tensor) -> Mapping[str, tuple[_Score, int]]:
    """Train every network; return its score and the parameters that it takes."""
    width = train.shape[1]
    small, taught = _dense(width, 24, 4, 24, width), _dense(width, 24, 4, 24, width)
    encoder, decoder = _dense(width, 64, 16), _dense(16, 64, width)
    large = nn.Sequential(encoder, decoder)
    drawn = _dense(width, 32, 16)
    _imitate(small, train, lambda x: x)
    _imitate(large, train, lambda x: x)
    _imitate(taught, train, large)
    ways: dict[str, tuple[_Score, int]] = {
        "small autoencoder": (_error(small, lambda x: x), _count(small)),
        "small autoencoder, taught by the output of a large one": (
            _error(taught, lambda x: x), _count(taught),
        ),
        "large autoencoder": (_error(large, lambda x: x), _count(large)),
    }  # fmt: skip
    for name, teacher in (("random teacher", drawn), ("code of a trained teacher", encoder)):
        with torch.no_grad():
            codes = teacher(train)
        mean, deviation = codes.mean(0), codes.std(0) + 1e-6
        target = _scaled(teacher, mean, deviation)
        student = _dense(width, 24, 16)
        _imitate(student, train, target)
        ways[name] = _error(student, target), _count(student, teacher)
    student = _dense(width, 24, width)
    _imitate(student, train, large)
    ways["output of a trained teacher"] = _error(student, large), _count(student, large)
    return ways


def _dense(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _scaled(teacher: nn.Module, mean: Tensor, deviation: Tensor) -> _Score:
    return lambda inputs: (teacher(inputs) - mean) / deviation


def _imitate(student: nn.Module, train: Tensor, target: _Score) -> None:
    """Train a network to answer as a target does, which learns nothing."""
    optimiser = torch.optim.Adam(student.parameters(), _RATE)
    steps = _EPOCHS * -(-len(train) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
    for _ in range(_EPOCHS):
        order = torch.randperm(len(train))
        for start in range(0, len(train), _BATCH):
            batch = order[start : start + _BATCH]
            with torch.no_grad():
                wanted = target(train[batch])
            loss = (student(train[batch]) - wanted).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def _error(student: nn.Module, target: _Score) -> _Score:
    return lambda inputs: (student(inputs) - target(inputs)).square().mean(1)


def _count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


if __name__ == "__main__":
    raise SystemExit(main())
