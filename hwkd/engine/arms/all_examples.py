"""A student that has been scored on validation learns from those examples, too.

Validation that was taken from the train split is data to learn from that every choice has been
made by: a fifth of a small set. Learning goes on from the weights that were scored, at a lower
rate. On 4,000 and then 5,000 pictures of Fashion-MNIST that gave .005 on the test set, as much
longer on the 4,000 nothing (`python -m benchmarks.accuracy.all_examples`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from hwkd.engine.arms.recipes import Arm
from hwkd.engine.setup.context import SearchContext
from hwkd.nn.build import StudentModule
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import TrainResult, train_module
from hwkd.train.seeding import derive_seed

# Samples of the training before -> samples of this one.
SAMPLES_RATIO = 0.2
# Peak rate of the training before -> that of one which goes on with its weights.
FURTHER_RATE_RATIO = 0.3


def may_learn_all(context: SearchContext, arm: Arm) -> bool:
    """Tell whether a student of an arm may learn from validation.

    Not where the user set it apart, nor where arms are compared, of which some follow a teacher
    that has no answers for it.
    """
    return context.data.validation_from_train and not arm.methods and arm.smooths_labels


def learn_all(
    module: StudentModule,
    context: SearchContext,
    config: TrainConfig,
    *,
    samples_seen: float,
    label_smoothing: float,
    budget_s: float | None,
    check: Callable[[], None],
) -> tuple[StudentModule, TrainResult, int]:
    """Return a copy of a student that went on with every labelled example.

    Args:
        module: trained and scored; it stays as it is.
        budget_s: within which this one ends; None is as long as it takes.
        check: called before every step; raises to stop.

    Returns:
        The student on the processor, how it went, and the number of examples.
    """
    known, held_back = context.labelled, context.data.validation
    device = known.labels.device
    inputs = torch.cat([known.copies[0], torch.from_numpy(np.array(held_back.inputs)).to(device)])
    labels = torch.cat([known.labels, torch.from_numpy(np.array(held_back.labels)).to(device)])
    further = replace(
        config,
        epochs=max(1, round(SAMPLES_RATIO * samples_seen / len(labels))),
        learning_rate=FURTHER_RATE_RATIO * config.learning_rate,
        seed=derive_seed(config.seed, "all examples"),
        time_budget_s=budget_s,
        samples_per_epoch=None,
    )
    student = copy.deepcopy(module).to(context.accelerator)
    loss = TaskLoss(context.data.head, label_smoothing=label_smoothing)
    batches = TensorBatches([inputs], labels)
    result = train_module(student, batches, loss, further, check=check)
    return student.cpu(), result, len(labels)
