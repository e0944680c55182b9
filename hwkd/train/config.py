"""How one training runs: length, optimizer, schedule, augmentation, averaging, precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from hwkd.train.augment import NO_AUGMENTATION, Augmentation

Optimizer: TypeAlias = Literal["adamw", "muon", "sgd"]
Precision: TypeAlias = Literal["float32", "bfloat16"]
Schedule: TypeAlias = Literal["cosine", "one-cycle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How long, how fast and with which tricks.

    Attributes:
        epochs: passes over the training split, >= 1; with a time budget at most as many.
        batch_size: samples per step, >= 2 (batch normalisation needs two).
        optimizer: "adamw", "sgd" with Nesterov momentum 0.9, or "muon", which is "sgd" but for
            convolutions (`hwkd.train.turned`).
        learning_rate: peak of the schedule, which ends at zero with the last step, so that a brief
            training is a finished one and not the start of a long one.
        schedule: after a linear warm-up, "cosine" or straight ("one-cycle") down to zero.
        weight_decay: on weights with two or more axes only; decoupled for "adamw", as an L2 term
            for the others, as their authors have it.
        warmup_ratio: share of the training spent warming up, 0 to 1.
        augmentation: of every batch; the amounts are drawn anew for each sample and step.
        averaging_decay: of the exponential moving average of weights that the module holds at the
            end, see `hwkd.train.averaging`; None keeps the last weights.
        precision: of the forward and backward pass; losses and weights stay float32.
        seed: order of samples, and augmentation.
        time_budget_s: training anneals to zero and ends within it, however many of the epochs were
            made; None makes them all.
        time_limit_s: training that is longer raises; None is no limit.
        layer_rates: layer of a student -> what its learning rate is multiplied by; layers that are
            not named have 1.
        samples_per_epoch: at most this many samples are drawn in an epoch; None is all.
    """

    epochs: int
    batch_size: int = 128
    optimizer: Optimizer = "adamw"
    learning_rate: float = 0.01
    schedule: Schedule = "cosine"
    weight_decay: float = 1e-4
    warmup_ratio: float = 0.1
    augmentation: Augmentation = NO_AUGMENTATION
    averaging_decay: float | None = None
    precision: Precision = "float32"
    seed: int = 0
    time_budget_s: float | None = None
    time_limit_s: float | None = None
    samples_per_epoch: int | None = None
    layer_rates: tuple[tuple[str, float], ...] = ()
