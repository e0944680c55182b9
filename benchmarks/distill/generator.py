"""Draws clothes of outlines at a quarter of the work: taught by the whole generator, and alone.

    python -m benchmarks.distill.generator [--pairs 6000] [--seconds 50] [--seeds 3]
        [--original-seconds 50] [--original 16,32,56] [--student 8,16,24] [--kept-seeds 1]

The original learns from pairs (`tools.picture_data`) beside a discriminator. The taught one begins
with its strongest channels and with its discriminator, and follows its pictures, which it draws
once; the one alone begins anew, with a discriminator of its own. Both have the same time of the
processor, with all that the original computes for the taught one. Of --kept-seeds there is one
more, that begins as the taught one does and then learns from pairs alone. What they draw of the
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
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.lib.verdict import Target, report
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.metric import Metric
from hwkd.core.signals import Signal
from hwkd.core.student import Layers, StudentSpec
from hwkd.core.teaching import TrainingSet
from hwkd.cost.graph import build_graph
from hwkd.distill.adversary import JudgedPictures
from hwkd.distill.criterion import DistillCriterion, needed_signals
from hwkd.distill.losses.gan_compression import GanCompression
from hwkd.distill.sources import AnsweredSource, CachedSource, LiveSource
from hwkd.distill.spec import parse_methods
from hwkd.distill.taps import student_places
from hwkd.io.discovery import discover
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.kept_channels import kept_channels, kept_weights
from hwkd.nn.moments import match_moments
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.frechet import frechet_distance
from hwkd.tasks.pictures_head import PICTURE_METRICS, PicturesHead
from hwkd.train.augment import Augmentation
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import Criterion, TaskLoss
from hwkd.train.loop import predict_logits, train_module
from tools.picture_data import clothes, outline

ORIGINAL, ALONE, TAUGHT = "original", "alone", "taught"
KEPT = "its channels and discriminator alone"
_WIDE, _NARROW = "16,32,56", "8,16,24"
_METHOD = "gan_compression:follows=teacher,distill=0"
# More passes than any time allows.
_PASSES = 10_000
_EXAMPLES = 512
_RATE = 0.008
_QUARTER, _FAR, _BETTER = 0.25, 1.2, 0.8


@dataclass(frozen=True, kw_only=True)
class Original:
    """A trained generator and the discriminator of its training."""

    network: StudentModule
    beside: Mapping[str, Tensor]


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
    name: str, layers: Layers, original: Original | None, data: TrainingSet, config: TrainConfig
) -> tuple[Original, int]:
    """Return a generator with its discriminator, and the steps that it had.

    Args:
        name: of what it learns from.
        original: None of one that begins anew and learns alone.
        config: its time budget is of the processor, with the beginning.
    """
    begun = time.process_time()
    student = build_module(layers, seed=data.seed)
    if original is not None:
        _begin_as(student, original.network, data.copies[0][:_EXAMPLES])
    criterion: Criterion
    if original is None or name == KEPT:
        lesson = GanCompression().teacher_lesson()
        assert lesson is not None
        with torch.random.fork_rng():
            torch.manual_seed(data.seed)
            criterion = lesson.build(data.head, layers.input_shape)
        if original is not None:
            criterion.load_state(original.beside)
    else:
        methods = parse_methods([_METHOD])
        criterion = DistillCriterion(
            methods, student=student, student_places=student_places(layers), data=data,
            source=_answered(original, needed_signals(methods), data), steps_between_norms=100_000,
        )  # fmt: skip
    left_s = (config.time_budget_s or 0.0) - (time.process_time() - begun)
    result = train_module(
        student, TensorBatches(data.copies, data.labels), criterion,
        replace(config, time_budget_s=left_s), clock=time.process_time,
    )  # fmt: skip
    beside = criterion.state() if isinstance(criterion, JudgedPictures) else {}
    return Original(network=student, beside=beside), result.steps


def _answered(original: Original, needs: frozenset[Signal], data: TrainingSet) -> AnsweredSource:
    """Return the original as `hwkd distill` asks it: for its pictures once, for features live."""
    whole = original.network
    drawn = CachedSource([predict_logits(whole, copy) for copy in data.copies])
    live = LiveSource(whole, student_places(whole.layers), needs, beside=original.beside)
    return AnsweredSource(live, drawn)


def _begin_as(student: StudentModule, whole: StudentModule, examples: Tensor) -> None:
    """Give a narrow generator the strongest channels of a whole one."""
    weights = {
        name: {key: value.numpy() for key, value in step.state_dict().items() if value.dim()}
        for name, step in whole.steps.items()
    }
    weights = {name: values for name, values in weights.items() if values}
    student.begin_with(kept_weights(whole.layers, student.layers, weights))
    channels = kept_channels(whole.layers, student.layers, weights)
    rows = {name: torch.from_numpy(channels[name]) for name in weights if name in channels}
    match_moments(student, whole, rows, examples)


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
    parser.add_argument("--seconds", type=float, default=50.0, help="of each small one")
    parser.add_argument("--original-seconds", type=float, default=50.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kept-seeds", type=int, default=1)
    parser.add_argument("--original", type=_widths, default=_WIDE, help="channels of its levels")
    parser.add_argument("--student", type=_widths, default=_NARROW)
    given = parser.parse_args()
    torch.set_num_threads(1)
    made = clothes()
    rows = []
    print(
        "| seed | generator | MMACs | Frechet distance | mean absolute error | steps | time [s] |"
    )
    print("|--:|---|--:|--:|--:|--:|--:|")
    for seed in range(given.seeds):
        plan = [(ORIGINAL, given.original_seconds), (ALONE, given.seconds), (TAUGHT, given.seconds)]
        plan += [(KEPT, given.seconds)] if seed < given.kept_seeds else []
        rows += drawn(
            made, plan, wide=given.original, narrow=given.student, pairs=given.pairs, seed=seed
        )
    whole, alone, taught = (
        statistics.mean(row["frechet distance"] for row in rows if row["generator"] == name)
        for name in (ORIGINAL, ALONE, TAUGHT)
    )
    share = rows[1]["macs"] / rows[0]["macs"]
    targets = [
        Target("multiply-adds, of the original's", share, _QUARTER),
        Target("distance, of the original's", taught / whole, _FAR),
        Target("distance, of that alone", taught / alone, _BETTER),
    ]
    return report(targets, {"generators": rows})


def _widths(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def drawn(
    made: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.int64]]], plan: list[tuple[str, float]],
    *, wide: tuple[int, ...], narrow: tuple[int, ...], pairs: int, seed: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Train all of a plan with one seed and say how what they draw of the test split is.

    Args:
        plan: (name, processor seconds) of each, the original first.
    """
    real, labels = made["train"][0][:pairs], made["train"][1][:pairs]
    head = PicturesHead.fitted(real[:, None], names=("grey",), metrics=PICTURE_METRICS)
    wanted = torch.from_numpy(head.standardised(real[:, None]))
    judge = classifier(wanted, torch.from_numpy(labels), epochs=3, seed=seed).body
    data = TrainingSet(copies=[_outlines(real)], labels=wanted, head=head, batch_size=32, seed=seed)
    config = TrainConfig(
        epochs=_PASSES, batch_size=32, learning_rate=_RATE, schedule="one-cycle",
        averaging_decay=0.99, seed=seed, augmentation=Augmentation(shift=(2, 2), mirror=True),
    )  # fmt: skip
    outlines = _outlines(made["test"][0])
    known = head.standardised(made["test"][0][:, None])
    rows: list[dict[str, Any]] = []
    original: Original | None = None
    for name, seconds in plan:
        begun = time.process_time()
        layers = drawer(wide if name == ORIGINAL else narrow, tuple(outlines.shape[1:]))
        found, steps = train(
            name, layers, None if name == ALONE else original, data,
            replace(config, time_budget_s=seconds),
        )  # fmt: skip
        taken_s = time.process_time() - begun
        original = original or found
        answers = predict_logits(found.network, outlines).numpy()
        row: dict[str, Any] = {
            "seed": seed,
            "generator": name,
            "macs": float(build_graph(layers).macs),
            "frechet distance": round(_distance(judge, head, answers, known), 4),
            "mean absolute error": round(_error(PICTURE_METRICS[0], head, answers, known), 2),
            "steps": steps,
            "processor [s]": round(taken_s, 1),
        }
        cells = (f"{row['macs'] / 1e6:.2f}", f"{row['frechet distance']:.3f}",
                 f"{row['mean absolute error']:.1f}", steps, row["processor [s]"])  # fmt: skip
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
