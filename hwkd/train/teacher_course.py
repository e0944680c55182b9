"""How hwkd's own teacher is trained, and what came of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import nn

from hwkd.core.errors import TeacherError
from hwkd.core.head import Knowledge
from hwkd.core.progress import Progress
from hwkd.core.strict_model import StoredInt
from hwkd.core.teaching import TeacherCriterion
from hwkd.core.trial import EpochRecord
from hwkd.train.augment import Augmentation
from hwkd.train.batches import TensorBatches
from hwkd.train.config import Precision, TrainConfig
from hwkd.train.criteria import TaskLoss
from hwkd.train.dataset import Dataset
from hwkd.train.loop import TrainingEnd, predict_logits, train_module
from hwkd.train.pace import Pace, measure_pace
from hwkd.train.precision import computing_in
from hwkd.train.schedule import Clock
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher_net import MirrorAveraged, TeacherNetConfig

# Examples shown in all, which decides the epochs: 10 for 54,000 examples, 50 for 5,000.
_EXAMPLES_SHOWN = 540_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 3, 50
# Within a time limit students make some 150 passes over 54,000 examples: ten by a teacher taught
# them nothing that labels did not (.9267 and .9292 on validation), at a tenth of the time.
_FEWEST_IN_TIME = 30
# Small sets need the steps (16 an epoch at least), large ones the speed of a larger batch.
_SMALL_EXAMPLES, _SMALL_BATCH, _LARGE_BATCH = 10_000, 64, 128
_FEWEST_STEPS, _SMALLEST_BATCH = 16, 8
# A pass forward is about a third of a training step; what is set aside for outputs is a little more
# than that. Averaging over mirror images doubles it, and is left out where it would take too much.
_FORWARD_SHARE, _MOST_FOR_OUTPUTS = 0.4, 0.25
_CONVERGED_SHARE = 0.5
# A limit that would have to be so many times as long is not named: the pace is too rough for that.
_MOST_TIMES = 100
# Timing both precisions takes a second or two of a busy core.
_LEAST_TO_COMPARE_S = 20.0
_DEFAULT_NET = TeacherNetConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherTraining:
    """How the teacher is trained.

    Attributes:
        epochs: passes over the train split; None is chosen from its size.
        batch_size: examples per step; None is chosen from the size of the train split.
        learning_rate: peak of the one-cycle schedule (AdamW).
        seed: of initial weights, order and augmentation.
        time_budget_s: training, and its outputs for the train and validation splits afterwards,
            end within it; None lets it take as long as it takes. A teacher without a budget that
            is already in the cache is taken instead.
        augmentation: None chooses it from the train split.
        must_finish: make 30 passes at least, and refuse at once, by the pace measured, where the
            budget is too short for all of them.
    """

    net: TeacherNetConfig = _DEFAULT_NET
    epochs: StoredInt | None = None
    batch_size: StoredInt | None = None
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    seed: StoredInt = 0
    time_budget_s: float | None = None
    augmentation: Augmentation | None = None
    must_finish: bool = False


class TeacherOutcome(BaseModel):
    """What a training of a teacher came to.

    Attributes:
        epochs_planned: that it would have made with time enough.
        ended_by: all epochs, or its time.
        averages_mirror: answers are means over an image and its mirror image.
        knowledge: on the validation split (`Head.knowledge`); larger is better.
        needed: the least knowledge that is not chance.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str
    epochs_made: float
    epochs_planned: StoredInt
    ended_by: TrainingEnd
    precision: Precision
    averages_mirror: bool
    knowledge: float
    needed: float

    @property
    def is_converged(self) -> bool:
        """Whether it had the time to become what it can be."""
        return self.epochs_made >= _CONVERGED_SHARE * self.epochs_planned

    @property
    def is_worth_keeping(self) -> bool:
        """Whether other runs should learn from it, too."""
        return self.is_converged and self.knowledge >= self.needed


def planned_epochs(training: TeacherTraining, examples: int) -> int:
    """Return the passes over the train split that a training makes with time enough."""
    if training.epochs is not None:
        return training.epochs
    return min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, round(_EXAMPLES_SHOWN / examples)))


def train_teacher(
    module: nn.Module,
    data: Dataset,
    training: TeacherTraining,
    augmentation: Augmentation,
    device: torch.device,
    *,
    criterion: TeacherCriterion | None = None,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
    clock: Clock = time.monotonic,
) -> TeacherOutcome:
    """Train a network in place and say what it came to.

    Args:
        data: train split to learn from; the validation split is only looked at in the end.
        training: length, rates and budget.
        criterion: what is minimised, on the device; None is the labels' loss.
        check: called before every step; raises to stop.
        clock: seconds, monotonic.

    Raises:
        TeacherError: if it must finish and could not.
    """
    started_s = clock()
    config = _config(training, augmentation, examples=len(data.train.labels))
    module.to(device)
    inputs = torch.tensor(data.train.inputs, device=device)
    labels = torch.tensor(data.train.labels, device=device)
    averages_mirror = augmentation.mirror
    if training.time_budget_s is not None:
        compares = training.time_budget_s >= _LEAST_TO_COMPARE_S
        pace = measure_pace(
            module, inputs, labels, data.head, config, compares_precisions=compares, clock=clock
        )
        left_s = training.time_budget_s - (clock() - started_s)
        config, averages_mirror = _in_time(config, training, data, pace, left_s)

    progress("train teacher", 0, config.epochs)
    result = train_module(
        module, TensorBatches([inputs], labels), criterion or TaskLoss(data.head), config,
        on_epoch=_teller(progress, config, data.head.loss_name, clock), check=check, clock=clock,
    )  # fmt: skip
    found = _knowledge(module, data, config, device, averages_mirror=averages_mirror)
    made = _description(module, config, result.epochs_made, examples=len(labels))
    said = f"{found.what} {found.value:.3f} on validation"
    return TeacherOutcome(
        description=f"{made} in {clock() - started_s:.0f} s, {said}",
        epochs_made=result.epochs_made,
        epochs_planned=config.epochs,
        ended_by=result.ended_by,
        precision=config.precision,
        averages_mirror=averages_mirror,
        knowledge=found.value,
        needed=found.needed,
    )


def _teller(
    progress: Progress, config: TrainConfig, loss_name: str, clock: Clock
) -> Callable[[EpochRecord], None]:
    """Return what tells how far a training is: by its epochs, or by its time where that ends it."""
    begun_s, budget_s, epochs = clock(), config.time_budget_s, config.epochs

    def tell(record: EpochRecord) -> None:
        spent = 0.0 if not budget_s else epochs * (clock() - begun_s) / budget_s
        note = f"loss {record.losses[loss_name]:.3f}"
        progress("train teacher", min(epochs, max(record.epoch, round(spent))), epochs, note)

    return tell


def _description(module: nn.Module, config: TrainConfig, epochs: float, *, examples: int) -> str:
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return (
        f"residual network of {parameters:,} parameters, trained here for {epochs:.3g} of "
        f"{config.epochs} epochs on {examples:,} examples (augmentation: "
        f"{config.augmentation.describe()}; {config.precision})"
    )


def _in_time(
    config: TrainConfig, training: TeacherTraining, data: Dataset, pace: Pace, left_s: float
) -> tuple[TrainConfig, bool]:
    """Return a training that leaves time for its outputs, and whether they average over mirrors."""
    # The validation split is answered twice: for the outcome, and for whoever learns from it.
    outputs = len(data.train.labels) + 2 * len(data.validation.labels)
    outputs_s = _FORWARD_SHARE * outputs / pace.samples_per_s
    most_s = _MOST_FOR_OUTPUTS * (training.time_budget_s or 0.0)
    averages_mirror = config.augmentation.mirror and 2 * outputs_s <= most_s
    left_s = max(0.0, left_s - outputs_s * (2 if averages_mirror else 1))
    if training.must_finish:
        if training.epochs is None:
            config = replace(config, epochs=max(config.epochs, _FEWEST_IN_TIME))
        possible = pace.samples_in(left_s) / len(data.train.labels)
        _require_all_passes(possible, config.epochs, left_s)
    return replace(config, precision=pace.precision, time_budget_s=left_s), averages_mirror


def _knowledge(
    module: nn.Module,
    data: Dataset,
    config: TrainConfig,
    device: torch.device,
    *,
    averages_mirror: bool,
) -> Knowledge:
    validation = torch.tensor(data.validation.inputs, device=device)
    answering = MirrorAveraged(module, data.head.kind) if averages_mirror else module
    with computing_in(config.precision, device):
        answers = predict_logits(answering, validation, batch_size=512)
    logits: NDArray[np.float32] = answers.float().cpu().numpy()
    return data.head.knowledge(logits, data.validation.labels)


def _require_all_passes(possible: float, wanted: int, left_s: float) -> None:
    """Refuse a teacher that would end before it is better than small networks trained as long."""
    if possible < wanted:
        longer = math.ceil(wanted / possible) if possible * _MOST_TIMES > wanted else 0
        more = f"{longer} times the" if longer else "a much longer"
        raise TeacherError(
            f"in its {left_s:.0f} s a teacher would make {possible:.0f} of {wanted} passes over "
            "the data at the pace of this machine now, and one with fewer costs its students "
            f"accuracy; {more} --timeout, or --method METHOD, trains one"
        )


def _config(training: TeacherTraining, augmentation: Augmentation, *, examples: int) -> TrainConfig:
    return TrainConfig(
        epochs=planned_epochs(training, examples),
        batch_size=training.batch_size or _batch_for(examples),
        learning_rate=training.learning_rate,
        schedule="one-cycle",
        weight_decay=training.weight_decay,
        warmup_ratio=0.2,
        augmentation=augmentation,
        averaging_decay=0.99,
        seed=derive_seed(training.seed, "teacher", "order"),
    )


def _batch_for(examples: int) -> int:
    if examples >= _SMALL_EXAMPLES:
        return _LARGE_BATCH
    return min(_SMALL_BATCH, max(_SMALLEST_BATCH, examples // _FEWEST_STEPS))
