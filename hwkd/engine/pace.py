"""How long a full-length training takes, so that a time limit is used up and not overrun."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch

from hwkd.core.trial import TrialRecord
from hwkd.engine.context import SearchContext, threads_per_worker
from hwkd.engine.evaluation import train_student

__all__ = ["estimated_epoch_s", "measured_epoch_s"]

# The first pass creates what later ones reuse; the second is timed.
_TIMED_STEPS = 25
# A processor clocks lower after minutes of work than in a short measurement.
_SLOWER_IN_THE_LONG_RUN = 1.05


def estimated_epoch_s(best: TrialRecord, context: SearchContext, *, trainings: int) -> float:
    """Return about how long one epoch of all final trainings takes, from the brief training.

    Args:
        best: whose brief training ran beside those of the other workers, as final trainings do.
        context: of the search.
        trainings: how many there are; as many run at a time as there are workers.
    """
    training = context.config.training
    samples = len(context.data.train)
    brief_epochs = (training.brief_epochs or 1) * (training.brief_samples or samples) / samples
    rounds = math.ceil(trainings / context.config.workers)
    return best.duration_s / brief_epochs * rounds


def measured_epoch_s(best: TrialRecord, context: SearchContext) -> float:
    """Return how long one epoch of a single training takes that has all cores, by a short one.

    Raises:
        ValueError: if the trial has no spec.
    """
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
