"""Draws clothes of outlines at a quarter of the work: taught by the whole generator, and alone.

    python -m benchmarks.distill.generator [--pairs 6000] [--epochs 10] [--seeds 3]
        [--original 16,32,56] [--student 8,16,24]

All three are trained with a discriminator on the same pairs (`tools.picture_data`), the one that is
alone for twice as many passes, which is about the time of the taught one. What they draw of the
test split is compared with the clothes themselves: by the Frechet distance in the features of a
classifier of the same clothes, which is trained here, and by the mean absolute error in levels. In
float.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.lib.verdict import Target, report
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.metric import Metric
from hwkd.core.student import Layers, StudentSpec
from hwkd.core.teaching import TrainingSet
from hwkd.cost.graph import build_graph
from hwkd.distill.criterion import DistillCriterion, needed_signals
from hwkd.distill.sources import LiveSource
from hwkd.distill.spec import parse_methods
from hwkd.distill.taps import student_places
from hwkd.io.discovery import discover
from hwkd.nn.build import StudentModule, build_module
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.frechet import frechet_distance
from hwkd.tasks.pictures_head import PICTURE_METRICS, PicturesHead
from hwkd.train.augment import Augmentation
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import predict_logits, train_module
from tools.picture_data import clothes, outline

ORIGINAL, ALONE, TAUGHT = "original", "alone", "taught"
_WIDE, _NARROW = "16,32,56", "8,16,24"
# A discriminator alone: looks at no teacher.
_JUDGED = "gan_compression:distill=0,ahead=0"
# Method, and passes over those asked for: a teacher that is run takes as long as the network beside
# it, so that one is alone for twice as many.
GENERATORS = {ORIGINAL: (_JUDGED, 1), ALONE: (_JUDGED, 2), TAUGHT: ("gan_compression", 1)}
_RATE = 0.004
_FAR, _BETTER = 1.2, 0.8


def drawer(widths: tuple[int, ...], shape: tuple[int, ...]) -> Layers:
    """Return the layers of a generator of the space `drawer`."""
    discover("hwkd.search_spaces")
    params: dict[str, int | str] = {
        "activation": "relu", "stem_stride": 1, "levels": len(widths), "convolutions": "dense",
    }  # fmt: skip
    for level, width in enumerate(widths, 1):
        params |= {f"level{level}_channels": width, f"level{level}_blocks": 1}
    spec = StudentSpec(space="drawer", params=params, input_shape=shape, num_outputs=1)
    layers: Layers = SEARCH_SPACES.get("drawer").layers(spec)
    return layers


def train(
    widths: tuple[int, ...], method: str, teacher: StudentModule | None, data: TrainingSet,
    config: TrainConfig,
) -> StudentModule:  # fmt: skip
    """Return a generator that was trained by a method.

    Args:
        teacher: None is a network that is not looked at.
    """
    layers = drawer(widths, tuple(data.copies[0].shape[1:]))
    student = build_module(layers, seed=data.seed)
    source = teacher or build_module(layers, seed=data.seed + 1)
    methods = parse_methods([method])
    criterion = DistillCriterion(
        methods,
        student=student,
        student_places=student_places(layers),
        source=LiveSource(source, student_places(source.layers), needed_signals(methods)),
        data=data,
        steps_between_norms=100_000,
    )
    train_module(student, TensorBatches(data.copies, data.labels), criterion, config)
    return student


class _Classifier(nn.Module):
    """Three convolutions; its features are what the classes are named by."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 64, 3, 1, 1), nn.BatchNorm2d(64), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.named = nn.Linear(64, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.named(self.body(pictures))
        return logits


def classifier(pictures: Tensor, labels: Tensor, *, epochs: int, seed: int) -> _Classifier:
    """Return a classifier of real clothes."""
    torch.manual_seed(seed)
    network = _Classifier()
    config = TrainConfig(epochs=epochs, batch_size=64, learning_rate=0.01, seed=seed)
    batches = TensorBatches([pictures], labels)
    train_module(network, batches, TaskLoss(ClassesHead.numbered(10)), config)
    return network


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=6_000, help="to learn from")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--original", type=_widths, default=_WIDE, help="channels of its levels")
    parser.add_argument("--student", type=_widths, default=_NARROW)
    given = parser.parse_args()
    torch.set_num_threads(1)
    made = clothes()
    rows = []
    print("| seed | generator | MMACs | Frechet distance | mean absolute error | processor [s] |")
    print("|--:|---|--:|--:|--:|--:|")
    for seed in range(given.seeds):
        rows += drawn(
            made, wide=given.original, narrow=given.student, pairs=given.pairs,
            epochs=given.epochs, seed=seed,
        )  # fmt: skip
    whole, alone, taught = (
        statistics.mean(row["frechet distance"] for row in rows if row["generator"] == name)
        for name in (ORIGINAL, ALONE, TAUGHT)
    )
    targets = [
        Target("distance, of the original's", taught / whole, _FAR),
        Target("distance, of that alone", taught / alone, _BETTER),
    ]
    return report(targets, {"generators": rows})


def _widths(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def drawn(
    made: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.int64]]],
    *, wide: tuple[int, ...], narrow: tuple[int, ...], pairs: int, epochs: int, seed: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Train all three with one seed and say how what they draw of the test split is."""
    real, labels = made["train"][0][:pairs], made["train"][1][:pairs]
    head = PicturesHead.fitted(real[:, None], names=("grey",), metrics=PICTURE_METRICS)
    wanted = torch.from_numpy(head.standardised(real[:, None]))
    judge = classifier(wanted, torch.from_numpy(labels), epochs=3, seed=seed).body
    data = TrainingSet(copies=[_outlines(real)], labels=wanted, head=head, batch_size=32, seed=seed)
    config = TrainConfig(
        epochs=epochs, batch_size=32, learning_rate=_RATE, schedule="one-cycle",
        averaging_decay=0.99, seed=seed, augmentation=Augmentation(shift=(2, 2), mirror=True),
    )  # fmt: skip
    tested = made["test"][0]
    outlines = _outlines(tested)
    known = head.standardised(tested[:, None])
    rows: list[dict[str, Any]] = []
    original: StudentModule | None = None
    for name, (method, times) in GENERATORS.items():
        begun = time.process_time()
        passes = replace(config, epochs=times * epochs)
        network = train(
            wide if name == ORIGINAL else narrow, method, original if name == TAUGHT else None,
            data, passes,
        )  # fmt: skip
        taken_s = time.process_time() - begun
        original = original or network
        answers = predict_logits(network, outlines).numpy()
        row: dict[str, Any] = {
            "seed": seed,
            "generator": name,
            "macs": float(build_graph(network.layers).macs),
            "frechet distance": _distance(judge, head, answers, known),
            "mean absolute error": _error(PICTURE_METRICS[0], head, answers, known),
            "processor [s]": round(taken_s, 1),
        }
        cells = (f"{row['macs'] / 1e6:.2f}", f"{row['frechet distance']:.3f}",
                 f"{row['mean absolute error']:.1f}", row["processor [s]"])  # fmt: skip
        print("|", *(f"{cell} |" for cell in (seed, name, *cells)), flush=True)
        rows.append(row)
    return rows


def _outlines(pictures: NDArray[np.uint8]) -> Tensor:
    drawn = np.stack([outline(picture) for picture in pictures])[:, None]
    return torch.from_numpy(drawn.astype(np.float32) / 127.5 - 1.0)


def _distance(
    judge: nn.Module, head: PicturesHead, drawn: NDArray[np.float32], known: NDArray[np.float32]
) -> float:
    """Return the distance of what is drawn, in levels that there are, from what is known."""
    levels = head.standardised(head.answers(drawn, drawn))
    features = (predict_logits(judge, torch.from_numpy(part)).numpy() for part in (levels, known))
    return frechet_distance(*features)


def _error(
    metric: Metric, head: PicturesHead, drawn: NDArray[np.float32], known: NDArray[np.float32]
) -> float:
    return metric.of(head.scores(drawn, known))


if __name__ == "__main__":
    sys.exit(main())
