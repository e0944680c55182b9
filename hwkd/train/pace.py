"""How fast a network trains here, and in which precision.

Whether half precision pays depends on processor and network: with matrix units it doubles the pace
of wide convolutions, without them the conversions cost more than they save. So it is measured, in
a few steps on a copy of the network.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from hwkd.core.head import Head
from hwkd.train.batches import TensorBatches
from hwkd.train.config import Precision, TrainConfig
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import train_module
from hwkd.train.schedule import Clock

_TURNS, _STEPS = 2, 3
# Half precision costs a little accuracy in unlucky cases, so it has to be worth it.
_LEAST_GAIN = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What training makes of a second.

    Attributes:
        samples_per_s: in it, with forward, backward and optimizer step.
    """

    precision: Precision
    samples_per_s: float

    def samples_in(self, seconds: float) -> int:
        """Return how many samples a training of that length sees."""
        return max(1, round(seconds * self.samples_per_s))


def measure_pace(
    module: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    head: Head,
    config: TrainConfig,
    *,
    compares_precisions: bool = True,
    clock: Clock = time.monotonic,
) -> Pace:
    """Measure a network's pace; the network stays as it is.

    The precisions take turns. Half precision has to be faster in every turn, so that a moment in
    which the machine did something else does not choose it; the pace is that of the fastest turn.

    Args:
        inputs: shape [samples, *input_shape], on the module's device.
        labels: of the samples; some may be unlabelled.
        head: whose loss is minimised.
        config: whose batch size, optimizer and augmentation are timed.
        compares_precisions: False times float32 alone, for when there is no time to choose.
    """
    batch = max(2, min(config.batch_size, len(labels)))
    rows = torch.arange(batch * _STEPS, device=labels.device) % len(labels)
    batches = TensorBatches([inputs.index_select(0, rows)], labels.index_select(0, rows))
    short = replace(
        config,
        epochs=1,
        batch_size=batch,
        averaging_decay=None,
        time_budget_s=None,
        time_limit_s=None,
        samples_per_epoch=None,
    )

    loss = TaskLoss(head, some_unlabelled=True)

    def seconds(precision: Precision) -> float:
        trial = copy.deepcopy(module)
        timed = replace(short, precision=precision)
        result = train_module(trial, batches, loss, timed, clock=clock)
        return max(result.seconds, 1e-9)

    if not compares_precisions:
        seconds("float32")  # warms up
        return Pace(precision="float32", samples_per_s=batch * _STEPS / seconds("float32"))
    turns = [(seconds("float32"), seconds("bfloat16")) for _ in range(_TURNS + 1)][1:]  # warms up
    is_half = min(single / half for single, half in turns) >= _LEAST_GAIN
    fastest_s = min(half if is_half else single for single, half in turns)
    return Pace(
        precision="bfloat16" if is_half else "float32",
        samples_per_s=batch * _STEPS / fastest_s,
    )
