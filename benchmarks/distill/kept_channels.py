"""What half of the channels of a trained network begin with, and what training makes of it.

    python -m benchmarks.distill.kept_channels [--size 8k] [--networks 3] [--epochs 3]

Each layer keeps its strongest channels; the linear map behind them is fitted on examples with a
ridge (`hwkd.nn.moments`). The ridge is chosen on validation; the scores that are printed for it are
of the test split. Trained students follow on labels at a tenth of the usual rate.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.distill.setup import load_data, student
from benchmarks.lib.scores import accuracy_ratio
from benchmarks.lib.verdict import report
from hwkd.core.student import Layers
from hwkd.core.widened import widened
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.distill.own_model import OwnModel
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.kept_channels import kept_channels, kept_weights
from hwkd.nn.moments import match_moments
from hwkd.tasks.base import Split, TaskData
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import predict_logits, train_module
from hwkd.train.seeding import derive_seed

RIDGES = (0.001, 0.01, 0.1, 1.0)
# So large that every channel is scaled and nothing else.
_SCALING = 1e9
_RATE = 0.02


def accuracy(module: StudentModule, split: Split) -> float:
    """Return that of a float network, 0 to 1."""
    outputs = predict_logits(module, torch.tensor(split.inputs)).numpy()
    return accuracy_ratio(outputs, split.labels)


def trained(module: StudentModule, data: TaskData, *, rate: float, epochs: int, seed: int) -> None:
    """Train a network on the labels of all examples."""
    inputs, labels = torch.tensor(data.train.inputs), torch.tensor(data.train.labels)
    config = TrainConfig(epochs=epochs, batch_size=64, learning_rate=rate, seed=seed)
    train_module(module, TensorBatches([inputs], labels), TaskLoss(data.head), config)


def begun(
    model: OwnModel, narrow: Layers, examples: torch.Tensor, ridge: float, seed: int
) -> StudentModule:
    """Return a narrow network with the strongest channels of a model, fitted with a ridge."""
    module, whole = build_module(narrow, seed=seed), build_module(model.layers, seed=0)
    model.fill(whole, examples.numpy())
    module.begin_with(kept_weights(model.layers, narrow, model.weights))
    channels = kept_channels(model.layers, narrow, model.weights)
    rows = {name: torch.from_numpy(channels[name]) for name in model.weights if name in channels}
    match_moments(module, whole, rows, examples, ridge=ridge)
    return module


def network(size: str, data: TaskData, seed: int, epochs: int) -> tuple[OwnModel, float]:
    """Return a trained network as a user has it, and its test accuracy."""
    layers = student(size, data)
    module = build_module(layers, seed=seed)
    trained(module, data, rate=_RATE, epochs=epochs, seed=seed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(module, layers, path)
        return OwnModel.read(path), accuracy(module, data.test)


def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--size", default="8k")
    options.add_argument("--networks", type=int, default=3)
    options.add_argument("--network-epochs", type=int, default=30)
    options.add_argument("--epochs", type=int, default=3)
    options.add_argument("--examples", nargs="+", type=int, default=(20, 200, 1000))
    chosen = options.parse_args(arguments)
    torch.set_num_threads(1)
    data = load_data(None)
    cells: dict[tuple[int, float, str], list[float]] = {}
    for number in range(chosen.networks):
        seed = derive_seed(number, "kept channels")
        model, whole = network(chosen.size, data, seed, chosen.network_epochs)
        cells.setdefault((0, 0.0, "whole"), []).append(whole)
        narrow = widened(model.layers, 0.5)
        fresh = build_module(narrow, seed=seed)
        trained(fresh, data, rate=_RATE, epochs=chosen.epochs, seed=seed)
        cells.setdefault((0, 0.0, "anew"), []).append(accuracy(fresh, data.test))
        for count in chosen.examples:
            examples = torch.tensor(data.train.inputs[:count])
            for ridge in (*RIDGES, _SCALING):
                module = begun(model, narrow, examples, ridge, seed)
                scores = {"validation": accuracy(module, data.validation)}
                scores["test"] = accuracy(module, data.test)
                trained(module, data, rate=_RATE / 10, epochs=chosen.epochs, seed=seed)
                scores["trained"] = accuracy(module, data.test)
                for what, score in scores.items():
                    cells.setdefault((count, ridge, what), []).append(score)
    return _show(cells, chosen.examples)


def _show(cells: dict[tuple[int, float, str], list[float]], counts: list[int]) -> int:
    mean = {key: float(np.mean(scores)) for key, scores in cells.items()}
    by_validation = {
        ridge: sum(mean[count, ridge, "validation"] for count in counts) for ridge in RIDGES
    }
    best = max(RIDGES, key=lambda ridge: by_validation[ridge])
    print(f"networks: {100 * mean[0, 0.0, 'whole']:.1f} % on test; half of the channels trained")
    print(f"anew: {100 * mean[0, 0.0, 'anew']:.1f} %; ridge by validation: {best:g}\n")
    print("| examples | ridge | validation | test | test when trained |\n|--:|--:|--:|--:|--:|")
    found: dict[str, dict[str, float]] = {}
    for count in counts:
        for ridge in (*RIDGES, _SCALING):
            name = "scaling" if ridge == _SCALING else f"{ridge:g}"
            row = [mean[count, ridge, what] for what in ("validation", "test", "trained")]
            print(f"| {count} | {name} | " + " | ".join(f"{100 * v:.1f} %" for v in row) + " |")
            found[f"{count} examples, {name}"] = dict(
                zip(("validation", "test", "trained"), row, strict=True)
            )
    return report([], found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
