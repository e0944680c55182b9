"""What distillation adds to a training step, with cached teacher logits and with a live teacher.

usage: python -m benchmarks.speed.distillation_step [--quick] [--input-shape 1x8x8] [--threads 1]

The same training loop runs a few steps of the same student with three criteria: cross-entropy,
distillation from cached logits, as a search distills (once a turn it measures the term's gradient
norm, as once an epoch there), and distillation from a teacher that runs on every batch. They take
turns, so that a busy machine slows all three; the ratios are medians over the turns. The teacher
is the network that hwkd trains when none is given; weights do not change how long a step takes, so
none are trained here. Students are drawn from every search space: the smallest of 200 and the one
nearest to 20,000 parameters; the targets hold for the median student of the embedded default. The
gain over a live teacher is 1 + teacher's step / student's step: it falls as students grow, and
`--input-shape 1x28x28`, where many students cost more than the teacher, shows that.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.lib.verdict import Target, report
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.signals import Batch
from hwkd.core.student import Layers
from hwkd.core.teaching import TrainingSet
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.losses.soft_targets import soft_target_loss
from hwkd.distill.sources import CachedSource
from hwkd.distill.spec import parse_methods
from hwkd.distill.taps import student_places
from hwkd.engine.arms.evaluation import STEPS_BETWEEN_NORMS
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.batches import TensorBatches
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import Criterion, TrainConfig, train_module
from hwkd.train.teacher_net import TeacherNetConfig, build_teacher_net

CLASSES, BATCH, TEMPERATURE = 10, 128, 2.0
SAMPLED, REFERENCE_PARAMS = 200, 20_000
MOST_OVER_CROSS_ENTROPY, LEAST_GAIN_OVER_LIVE = 1.05, 1.9


@dataclass
class LiveDistillation:
    """The same loss as from stored logits, from a teacher that runs on every batch."""

    teacher: nn.Module

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the two weighted terms."""
        student_logits = module(batch.inputs)
        with torch.no_grad():
            teacher_logits = self.teacher(batch.inputs)
        return {
            "cross_entropy": functional.cross_entropy(student_logits, batch.labels),
            "kd": soft_target_loss(student_logits, teacher_logits, TEMPERATURE),
        }

    def parameters(self) -> Sequence[nn.Parameter]:
        """None."""
        return ()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--input-shape", default="1x8x8")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--steps", type=int, default=22, help="in a turn, an epoch of the digits")
    parser.add_argument("--quick", action="store_true", help="3 short turns, nothing is judged")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    turns, steps = (3, 3) if arguments.quick else (arguments.turns, arguments.steps)
    shape = tuple(int(size) for size in arguments.input_shape.split("x"))
    columns = ("params", "CE ms", "cached", "live", "cached/CE", "live/cached")
    print(f"{'student':34}" + "".join(f"{column:>12}" for column in columns))
    rows = [measure(name, layers, shape, turns, steps) for name, layers in students(shape)]
    over = statistics.median(row[0] for row in rows)
    gain = statistics.median(row[1] for row in rows)
    print(f"batch {BATCH}, {arguments.threads} thread(s), {turns} turns of {steps} steps, medians")
    code = report(
        [
            Target(
                "cached step over cross-entropy", over, MOST_OVER_CROSS_ENTROPY, scale=1, unit="x"
            ),
            Target(
                "live step over cached",
                gain,
                LEAST_GAIN_OVER_LIVE,
                at_least=True,
                scale=1,
                unit="x",
            ),
        ]
    )
    return 0 if arguments.quick else code


def students(shape: tuple[int, ...]) -> list[tuple[str, Layers]]:
    """Return the smallest student and the one of about 20,000 parameters of each space."""
    discover("hwkd.search_spaces")
    chosen = []
    for name in SEARCH_SPACES.names():
        space, chooser = SEARCH_SPACES.get(name), RandomChooser(0)
        drawn = [
            space.layers(space.suggest(chooser, input_shape=shape, num_outputs=CLASSES))
            for _ in range(SAMPLED)
        ]
        chosen.append((f"{name}, smallest", min(drawn, key=parameters)))
        nearest = min(drawn, key=lambda layers: abs(parameters(layers) - REFERENCE_PARAMS))
        chosen.append((f"{name}, reference", nearest))
    return chosen


def parameters(layers: Layers) -> int:
    return sum(parameter.numel() for parameter in build_module(layers, seed=0).parameters())


def measure(
    name: str, layers: Layers, shape: tuple[int, ...], turns: int, steps: int
) -> tuple[float, float]:
    """Print one row; returns cached / cross-entropy and live / cached."""
    generator = torch.Generator().manual_seed(0)
    samples = BATCH * steps
    inputs = torch.randn(samples, *shape, generator=generator)
    labels = torch.randint(CLASSES, (samples,), generator=generator)
    logits = torch.randn(samples, CLASSES, generator=generator)
    teacher = build_teacher_net(shape, CLASSES, TeacherNetConfig()).eval().requires_grad_(False)
    module = build_module(layers, seed=0)
    criteria: dict[str, Criterion] = {
        "cross-entropy": TaskLoss(ClassesHead.numbered(CLASSES)),
        "cached": DistillCriterion(
            parse_methods([f"kd:temperature={TEMPERATURE}"]),
            student=module,
            student_places=student_places(layers),
            source=CachedSource([logits]),
            data=TrainingSet(
                copies=[inputs], labels=labels, head=ClassesHead.numbered(CLASSES), batch_size=BATCH
            ),
            steps_between_norms=STEPS_BETWEEN_NORMS,
        ),
        "live": LiveDistillation(teacher),
    }
    config = TrainConfig(epochs=1, batch_size=BATCH)
    step_s: dict[str, list[float]] = {what: [] for what in criteria}
    for turn in range(turns + 1):  # the first one warms up
        for what, criterion in criteria.items():
            result = train_module(module, TensorBatches([inputs], labels), criterion, config)
            if turn:
                step_s[what].append(result.seconds / result.steps)
    over = statistics.median(
        a / b for a, b in zip(step_s["cached"], step_s["cross-entropy"], strict=True)
    )
    gain = statistics.median(a / b for a, b in zip(step_s["live"], step_s["cached"], strict=True))
    shown = "".join(f"{1e3 * statistics.median(times):12.2f}" for times in step_s.values())
    print(f"{name:34}{parameters(layers):12,}{shown}{over:12.3f}{gain:12.2f}", flush=True)
    return over, gain


if __name__ == "__main__":
    sys.exit(main())
