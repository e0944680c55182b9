"""How long a full-length training takes, so that a time limit is used up and not overrun."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from hwkd.core.errors import DoesNotFitError
from hwkd.core.trial import TrialRecord
from hwkd.engine.context import SearchContext, threads_per_worker
from hwkd.engine.evaluation import train_student
from hwkd.engine.final import best_trial, trainings

__all__ = ["affordable_training", "reserved_s"]

# Of a time limit, at most this share goes to the final training; after it the student is exported
# and scored, and the report is written.
_FINAL_SHARE = 0.5
_AFTER_TRAINING_S = 45.0
# The first pass creates what later ones reuse; the second is timed.
_TIMED_STEPS = 25
# A processor clocks lower after minutes of work than in a short measurement.
_SLOWER_IN_THE_LONG_RUN = 1.05


def reserved_s(records: Sequence[TrialRecord], context: SearchContext, timeout_s: float) -> float:
    """Return how many seconds of a time limit the best student so far needs in the end.

    Args:
        records: trials so far; while none of them fits the device, nothing is reserved.
        context: of the search.
        timeout_s: limit of the whole search.
    """
    training = context.config.training
    if not context.config.train_best:
        return 0.0
    try:
        best = best_trial(records, mode=context.config.objective.mode)
    except DoesNotFitError:
        return 0.0
    epoch_s = _estimated_epoch_s(best, context, trainings(context, training.controls))
    wanted = epoch_s * (training.full_epochs or 1) + _AFTER_TRAINING_S
    return min(wanted, _FINAL_SHARE * timeout_s)


def affordable_training(
    best: TrialRecord, context: SearchContext, left_s: float
) -> tuple[int, int]:
    """Return epochs and seeds of the final trainings: controls give way to a long training.

    As many seeds as leave at least half of the epochs wanted.

    Args:
        best: the trial to train in full.
        context: of the search.
        left_s: seconds until the time limit.
    """
    training = context.config.training
    wanted = training.full_epochs or 1
    for seeds in range(training.controls, -1, -1):
        epochs = int((left_s - _AFTER_TRAINING_S) / _epoch_s(best, context, seeds))
        if epochs >= wanted / 2:
            break
    return max(1, min(wanted, epochs)), seeds


def _epoch_s(best: TrialRecord, context: SearchContext, seeds: int) -> float:
    count = trainings(context, seeds)
    if count == 1:
        return _measured_epoch_s(best, context)
    return _estimated_epoch_s(best, context, count)


def _estimated_epoch_s(best: TrialRecord, context: SearchContext, count: int) -> float:
    """Return about how long one epoch of `count` trainings takes, from the brief training.

    That one ran beside those of the other workers, as final trainings do.
    """
    training = context.config.training
    samples = len(context.data.train)
    brief_epochs = (training.brief_epochs or 1) * (training.brief_samples or samples) / samples
    rounds = math.ceil(count / context.config.workers)
    return best.duration_s / brief_epochs * rounds


def _measured_epoch_s(best: TrialRecord, context: SearchContext) -> float:
    """Return how long one epoch of a single training takes that has all cores, by a short one."""
    if best.spec is None:
        raise ValueError(f"trial {best.number} has no spec")
    layers = context.screen.candidate(best.spec.to_spec()).layers
    samples = len(context.data.train)
    config = context.full_config(layers.key, repetition=0, epochs=2)
    timed_samples = min(samples, config.batch_size * _TIMED_STEPS)
    ends: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(threads_per_worker(1))
    try:
        train_student(
            layers,
            context,
            replace(config, samples_per_epoch=timed_samples),
            on_epoch=lambda _: ends.append(time.monotonic()),
        )
    finally:
        torch.set_num_threads(threads)
    return (ends[1] - ends[0]) * samples / timed_samples * _SLOWER_IN_THE_LONG_RUN
