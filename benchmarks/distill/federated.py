"""Clients that keep their samples: accuracy against bytes sent, at three sizes of the public set.

python -m benchmarks.distill.federated [--clients 10] [--alpha 0.3] [--rounds 5] [--seeds 3]

FedAvg and FedDF send weights, FedMD sends logits of public samples, FedGKT maps and logits of the
clients' own (the public samples are at no client then, so that all have the same). Central
training sees all samples. Accuracy is that of the float student on the test split. It says where
logits cost more than weights would. Noise on shared logits is in the last rows.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
import torch

from benchmarks.distill.setup import load_data, student
from benchmarks.lib.scores import accuracy_ratio
from benchmarks.lib.verdict import report
from hwkd.core.student import Layers
from hwkd.core.teaching import TrainingSet
from hwkd.distill.scheme_spec import parse_scheme
from hwkd.distill.schemes.federated import FedAvg, FederatedScheme
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scheme_course import train_scheme
from hwkd.engine.arms.scheme_stages import SchemeData
from hwkd.engine.arms.sent_bytes import sent_in_a_round
from hwkd.nn.build import build_module
from hwkd.tasks.base import TaskData
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import predict_logits, train_module
from hwkd.train.seeding import derive_seed


def scheme_data(data: TaskData) -> SchemeData:
    """Return the train split as schemes take it."""
    inputs, labels = torch.tensor(data.train.inputs), torch.tensor(data.train.labels)
    held = data.validation
    return SchemeData(
        training=TrainingSet(copies=[inputs], labels=labels, head=data.head, batch_size=64),
        batches=TensorBatches([inputs], labels),
        held_inputs=torch.tensor(held.inputs),
        held_labels=torch.tensor(held.labels),
    )


def accuracy(layers: Layers, data: TaskData, text: str | None, *, epochs: int, seed: int) -> float:
    """Train by a scheme, or by all samples in one place; returns test accuracy, 0 to 1."""
    config = TrainConfig(
        epochs=epochs, batch_size=64, learning_rate=0.02, seed=derive_seed(seed, "federated")
    )
    given = scheme_data(data)
    if text is None:
        module = build_module(layers, seed=config.seed)
        train_module(module, given.batches, TaskLoss(data.head), config)
    else:
        arm = Arm(name="cell", scheme=parse_scheme(text))
        module, _ = train_scheme(layers, given, config, arm=arm)
    outputs = predict_logits(module, torch.tensor(data.test.inputs)).numpy()
    return accuracy_ratio(outputs, data.test.labels)


def main(arguments: list[str]) -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--clients", type=int, default=10)
    options.add_argument("--alpha", type=float, default=0.3)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--public", nargs="+", type=float, default=(0.1, 0.25, 0.5))
    options.add_argument("--noise", nargs="*", type=float, default=(1.0, 4.0))
    options.add_argument("--epochs", type=int, default=60, help="of all rounds together")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--size", default="8k")
    options.add_argument("--draw", type=int, default=0, help="numbers the division of samples")
    chosen = options.parse_args(arguments)
    torch.set_num_threads(1)
    data = load_data(None)
    layers = student(chosen.size, data)
    among = f"clients={chosen.clients},alpha={chosen.alpha},rounds={chosen.rounds}"
    among += f",draw={chosen.draw}"
    texts: list[str | None] = [None]
    texts += [
        f"{name}:{among},public={public}"
        for public in chosen.public
        for name in ("fedavg", "feddf", "fedmd", "fedgkt")
    ]
    texts += [
        f"{name}:{among},public={chosen.public[1]},noise={noise}"
        for noise in chosen.noise
        for name in ("feddf", "fedmd")
    ]
    found: dict[str, dict[str, float]] = {}
    print("| scheme | public | noise | test | kB a round | dearer than weights |")
    print("|---|--:|--:|--:|--:|---|")
    for text in texts:
        scores = [
            accuracy(layers, data, text, epochs=chosen.epochs, seed=s) for s in range(chosen.seeds)
        ]
        mean = float(np.mean(scores))
        if text is None:
            print(f"| central | | | {100 * mean:.2f} % | | |", flush=True)
            found["central"] = {"accuracy": mean}
            continue
        scheme = parse_scheme(text)
        assert isinstance(scheme, FederatedScheme)
        sent = sent_in_a_round(scheme, layers, samples=len(data.train))
        dear = sent_in_a_round(FedAvg(clients=chosen.clients), layers, samples=len(data.train))
        noise = getattr(scheme, "noise", 0.0)
        print(
            f"| {scheme.name} | {round(scheme.public * len(data.train))} | {noise:g} | "
            f"{100 * mean:.2f} % | {sent / 1000:.1f} | {'yes' if sent > dear else 'no'} |",
            flush=True,
        )
        found[text] = {"accuracy": mean, "bytes_per_round": float(sent)}
    return report([], found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
