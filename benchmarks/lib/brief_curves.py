"""One network trained briefly in several ways, judged on the way: what a lower rung would see."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.student import Layers
from hwkd.deploy.calibrate import DEFAULT_CALIBRATION
from hwkd.engine.arms.evaluation import deploy_student, student_logits
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.trainings import recipe_of
from hwkd.nn.build import StudentModule, build_module
from hwkd.train.averaging import STEPS_BETWEEN_AVERAGES, WeightAverage, set_statistics
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import predict_logits
from hwkd.train.optimizers import make_optimizer
from hwkd.train.schedule import learning_rate
from hwkd.train.seeding import derive_seed

__all__ = ["DECAY_SHARE", "Judge", "Rate", "brief_config", "constant_then_down", "planned", "train"]

# Of a training at a constant rate, and of the branch that judges it on the way.
DECAY_SHARE = 0.2
_WARM_UP = 0.05
_STATISTICS_BATCHES = 16

# Share of the training made before a step, and the share that a step is -> learning rate.
Rate = Callable[[float, float], float]


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Scores networks on a search's data.

    Attributes:
        context: of the search.
        teacher_logits: on validation, shape [samples, classes].
    """

    context: SearchContext
    teacher_logits: NDArray[np.float32]

    def __call__(self, module: StudentModule, layers: Layers, *, on_test: bool) -> dict[str, float]:
        """Return errors of a network: float and int8 file on validation, perhaps on test."""
        data, head = self.context.data, self.context.data.head
        module = module.eval()
        validation = torch.from_numpy(data.validation.inputs)
        in_float = predict_logits(module, validation).numpy()
        with TemporaryDirectory() as folder:
            files = deploy_student(
                module, layers, Path(folder),
                calibration=self.context.calibration, ranges=DEFAULT_CALIBRATION,
            )  # fmt: skip
            in_int8 = student_logits(files.int8_path, data.validation.inputs)
            tested = student_logits(files.int8_path, data.test.inputs) if on_test else None
        found = {
            "float": float(head.errors(in_float, data.validation.labels).mean()),
            "int8": float(head.errors(in_int8, data.validation.labels).mean()),
            "divergence": head.divergence(in_int8, self.teacher_logits, temperature=4.0),
        }
        if tested is not None:
            found["test"] = float(head.errors(tested, data.test.labels).mean())
        return found


def brief_config(context: SearchContext, layers: Layers, epochs: int) -> TrainConfig:
    """Return the product's brief training of a length, by its recipe."""
    samples = len(context.data.train.labels)
    recipe = recipe_of(context, layers, samples=epochs * samples)
    return recipe.config(epochs=epochs, seed=derive_seed(0, layers.key, "brief"))


def planned(config: TrainConfig) -> Rate:
    """Return the product's schedule."""
    return lambda done, step: learning_rate(done, step, config)


def constant_then_down(config: TrainConfig, *, down_from: float, peak_ratio: float) -> Rate:
    """Return a constant rate that falls to zero at the end.

    Args:
        config: with the peak of the product's schedule.
        down_from: share of the training, 0 to 1.
        peak_ratio: of the constant rate to that peak.
    """

    def rate(done: float, step: float) -> float:
        up = min(1.0, (done + step) / _WARM_UP)
        down = min(1.0, (1.0 - done) / (1.0 - down_from))
        return config.learning_rate * peak_ratio * min(up, down)

    return rate


def train(
    layers: Layers,
    context: SearchContext,
    config: TrainConfig,
    rate: Rate,
    *,
    marks: Mapping[int, Callable[[StudentModule, list[float]], None]],
    start: StudentModule | None = None,
) -> None:
    """Train a network on the labels as `hwkd.train.loop` does, and show it on the way.

    Args:
        layers: the network.
        context: with the data.
        config: of the whole training.
        rate: of every step.
        marks: epochs made -> what is then shown a copy with averaged weights, and the mean
            training loss of every epoch so far.
        start: what it begins with; None draws the weights.
    """
    module = start if start is not None else build_module(layers, seed=config.seed)
    known = context.labelled
    stream = known.batches.stream(config)
    recipe = recipe_of(context, layers, samples=config.epochs * len(known))
    criterion = TaskLoss(context.data.head, label_smoothing=recipe.label_smoothing)
    optimizer = make_optimizer(list(module.parameters()), config)
    average = WeightAverage(module, config.averaging_decay or 0.99)
    total = stream.steps_per_epoch * config.epochs
    losses: list[float] = []
    steps = 0
    module.train()
    for epoch in range(max(marks)):
        sums = torch.zeros(())
        for batch in stream.epoch(epoch):
            for group in optimizer.param_groups:
                group["lr"] = rate(steps / total, 1.0 / total)
            optimizer.zero_grad(set_to_none=True)
            loss = sum(criterion(module, batch).values(), torch.zeros(()))
            torch.autograd.backward(loss)
            optimizer.step()
            steps += 1
            if steps % STEPS_BETWEEN_AVERAGES == 0:
                average.update()
            sums += loss.detach()
        losses.append(float(sums) / stream.steps_per_epoch)
        if epoch + 1 in marks:
            shown = copy.deepcopy(module)
            _put(average, module, shown)
            set_statistics(shown, stream.plain(min(stream.plain_batches, _STATISTICS_BATCHES)))
            marks[epoch + 1](shown.eval(), list(losses))


def _put(average: WeightAverage, module: StudentModule, shown: StudentModule) -> None:
    """Give a copy the averaged weights."""
    present = [parameter.detach().clone() for parameter in module.parameters()]
    average.apply()
    with torch.no_grad():
        for mine, averaged in zip(shown.parameters(), module.parameters(), strict=True):
            mine.copy_(averaged)
        for mine, before in zip(module.parameters(), present, strict=True):
            mine.copy_(before)
