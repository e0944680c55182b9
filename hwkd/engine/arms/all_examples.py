"""A student that has been scored on validation learns from those examples, too.

Validation that was taken from the train split is data to learn from that every choice has been
made by: a fifth of a small set. Learning goes on from the weights that were scored. Where it adds
little, a fifth as long at a lower rate: on 4,000 and then 5,000 pictures of Fashion-MNIST that gave
.005 on the test set, as much longer on the 4,000 nothing
(`python -m benchmarks.accuracy.all_examples`).

Where it adds a quarter or more, or other recordings, and often people, half as long at the full
rate. Equal samples in all, three fifths of a set and then four fifths, accuracy on pictures of
others, two seeds: things before clutter .373 and .422 by a fifth, .420 and .408 by half (.392 from
the beginning with four fifths, .363 with three throughout); eight shapes .659 and .649, .719 and
.696; Fashion-MNIST, 3,000 and then 4,000, .8816 and .8809, .8820 and .8813. On the watch data (6
people, then 8; 10 drawn pairs of others judge; a small network on means and deviations) windows
were right .850 before, .858 after a fifth, .864 with varied copies of the new windows, as train has
them, and .876 with these for half as many samples; .867 where a network learned from all 8 from the
beginning. Judged by five other pairs, with a network of samples that are varied at every use (one
seed): .886 before, .897 and .906; of the recordings .907, .921 and .936.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.settled import settle_outputs
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
# Both, where validation has much that train lacks: other recordings, or a quarter of its examples.
_OF_MUCH_SAMPLES_RATIO, _OF_MUCH_RATE_RATIO, _MUCH = 0.5, 1.0, 0.25


def may_learn_all(context: SearchContext, arm: Arm) -> bool:
    """Tell whether a student of an arm may learn from validation.

    Not where the user set it apart, nor where arms are compared, of which some follow a teacher
    that has no answers for it.
    """
    return context.data.validation_from_train and not arm.methods and arm.smooths_labels


def samples_ratio(context: SearchContext) -> float:
    """Return how long going on takes beside the training before."""
    return _OF_MUCH_SAMPLES_RATIO if _brings_much(context) else SAMPLES_RATIO


def _brings_much(context: SearchContext) -> bool:
    train, validation = context.data.train, context.data.validation
    return validation.wholes is not None or len(validation.labels) >= _MUCH * len(train)


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
    parts = [held_back, *filter(None, [context.data.validation_copies])]
    inputs = torch.cat([known.copies[0], *(_on(device, part.inputs) for part in parts)])
    labels = torch.cat([known.labels, *(_on(device, part.labels) for part in parts)])
    brings_much = _brings_much(context)
    further = replace(
        config,
        epochs=max(1, round(samples_ratio(context) * samples_seen / len(labels))),
        learning_rate=(_OF_MUCH_RATE_RATIO if brings_much else FURTHER_RATE_RATIO)
        * config.learning_rate,
        seed=derive_seed(config.seed, "all examples"),
        time_budget_s=budget_s,
        samples_per_epoch=None,
    )
    student = copy.deepcopy(module).to(context.accelerator)
    loss = TaskLoss(context.data.head, label_smoothing=label_smoothing)
    batches = TensorBatches([inputs], labels)
    result = train_module(student, batches, loss, further, check=check)
    settle_outputs(student, context.data.head, inputs, labels)
    return student.cpu(), result, len(labels)


def _on(device: torch.device, values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.array(values)).to(device)
