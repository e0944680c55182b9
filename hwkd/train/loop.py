"""The one training loop: students, teachers' pupils and controls all run through `train_module`.

The loop owns batches, the optimizer, the learning rate and the clock. What is minimised is a
`Criterion`: it runs the module and returns named terms, so cross-entropy, distillation from cached
or live teachers and pair samplers are all data to this loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from hwkd.core.trial import EpochRecord

__all__ = [
    "Batch",
    "Criterion",
    "LogsGradients",
    "TrainConfig",
    "TrainResult",
    "TrainingDivergedError",
    "TrainingTimeoutError",
    "predict_logits",
    "train_module",
]

# Small enough to notice divergence within a second, rare enough not to stall an accelerator.
_STEPS_BETWEEN_FINITE_CHECKS = 25


class TrainingDivergedError(RuntimeError):
    """The loss stopped being a finite number."""


class TrainingTimeoutError(RuntimeError):
    """Training ran past its time limit."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """What one step sees.

    Attributes:
        inputs: shape [batch, *input_shape].
        labels: shape [batch], int64.
        sample_ids: shape [batch], rows of the training split; the key into cached teacher outputs.
        view: index of the augmented view that `inputs` come from.
        epoch_ratio: how much of the training is done, 0 to 1.
    """

    inputs: Tensor
    labels: Tensor
    sample_ids: Tensor
    view: int
    epoch_ratio: float


class Criterion(Protocol):
    """What a step minimises: the sum of the terms that a call returns."""

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Run the module on the batch and return weighted scalar terms by name."""
        ...

    def parameters(self) -> Sequence[nn.Parameter]:
        """Parameters trained beside the module's (adapters); usually none."""
        ...


@runtime_checkable
class LogsGradients(Protocol):
    """A criterion that also measures how strongly each of its terms pulls."""

    def take_gradient_norms(self) -> dict[str, float]:
        """Return the norms by term name, measured since the last call."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How long and how fast.

    Attributes:
        epochs: passes over the training split, >= 1.
        batch_size: samples per step, >= 2 (batch normalisation needs two).
        learning_rate: peak of the schedule: linear warm-up, then cosine to zero at the last step,
            so that a brief training is a finished one and not the start of a long one.
        weight_decay: decoupled, on weights with two or more axes only.
        warmup_ratio: share of all steps spent warming up.
        seed: order of samples.
        time_limit_s: None is no limit.
        samples_per_epoch: at most this many samples are drawn in an epoch; None is all.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    warmup_ratio: float = 0.1
    seed: int = 0
    time_limit_s: float | None = None
    samples_per_epoch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What training did; the module itself is trained in place."""

    epochs: tuple[EpochRecord, ...]
    steps: int
    seconds: float


@dataclass(slots=True)
class _TermMeans:
    sums: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0

    def add(self, terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            detached = value.detach()
            self.sums[name] = self.sums[name] + detached if name in self.sums else detached
        self.steps += 1

    def require_finite(self, epoch: int) -> None:
        for name, total in self.sums.items():
            if not math.isfinite(float(total)):
                raise TrainingDivergedError(f"loss term {name} is not finite in epoch {epoch + 1}")

    def means(self) -> dict[str, float]:
        return {name: float(total) / self.steps for name, total in self.sums.items()}


def train_module(
    module: nn.Module,
    views: Sequence[Tensor],
    labels: Tensor,
    criterion: Criterion,
    config: TrainConfig,
    *,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    check: Callable[[], None] | None = None,
) -> TrainResult:
    """Train a module in place and leave it in evaluation mode.

    Args:
        module: on the device of `views`.
        views: augmented versions of the training inputs, each [samples, *input_shape]; epoch
            number e uses view e modulo their number. One view is no augmentation.
        labels: shape [samples], int64.
        criterion: what is minimised.
        config: length, batch size, learning rate, seed.
        on_epoch: called after every epoch.
        check: called before every step; raises to stop (timeout of the caller, interruption).

    Raises:
        TrainingDivergedError: if a term is not finite.
        TrainingTimeoutError: if `config.time_limit_s` is over.
    """
    started = time.monotonic()
    plan = _Plan.of(config, samples=int(labels.shape[0]))
    optimizer = _optimizer(module, criterion, config)
    order_generator = torch.Generator().manual_seed(config.seed)
    records: list[EpochRecord] = []
    module.train()
    for epoch in range(config.epochs):
        means = _TermMeans()
        order = torch.randperm(plan.samples, generator=order_generator).to(labels.device)
        view = epoch % len(views)
        for position in range(plan.steps_per_epoch):
            if check is not None:
                check()
            _check_clock(started, config, epoch)
            step = epoch * plan.steps_per_epoch + position
            learning_rate = _learning_rate(step, plan.total_steps, config)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            sample_ids = order[position * plan.batch_size : (position + 1) * plan.batch_size]
            batch = Batch(
                inputs=_channels_last(views[view].index_select(0, sample_ids)),
                labels=labels[sample_ids],
                sample_ids=sample_ids,
                view=view,
                epoch_ratio=step / plan.total_steps,
            )
            means.add(_step(module, criterion, optimizer, batch))
            if step % _STEPS_BETWEEN_FINITE_CHECKS == 0:
                means.require_finite(epoch)
        means.require_finite(epoch)
        records.append(
            EpochRecord(
                epoch=epoch + 1,
                learning_rate=learning_rate,
                losses=means.means(),
                grad_norms=_gradient_norms(criterion),
            )
        )
        if on_epoch is not None:
            on_epoch(records[-1])
    module.eval()
    seconds = time.monotonic() - started
    return TrainResult(epochs=tuple(records), steps=plan.total_steps, seconds=seconds)


@torch.no_grad()
def predict_logits(module: nn.Module, inputs: Tensor, *, batch_size: int = 1024) -> Tensor:
    """Return logits, shape [samples, outputs], of a module in evaluation mode."""
    module.eval()
    parts = [_channels_last(inputs[i : i + batch_size]) for i in range(0, len(inputs), batch_size)]
    return torch.cat([module(part) for part in parts])


@dataclass(frozen=True, slots=True)
class _Plan:
    samples: int
    batch_size: int
    steps_per_epoch: int
    total_steps: int

    @classmethod
    def of(cls, config: TrainConfig, *, samples: int) -> _Plan:
        drawn = min(samples, config.samples_per_epoch or samples)
        batch_size = max(2, min(config.batch_size, drawn))
        steps_per_epoch = max(1, drawn // batch_size)
        return cls(samples, batch_size, steps_per_epoch, steps_per_epoch * config.epochs)


def _step(
    module: nn.Module, criterion: Criterion, optimizer: torch.optim.Optimizer, batch: Batch
) -> dict[str, Tensor]:
    optimizer.zero_grad(set_to_none=True)
    terms = criterion(module, batch)
    total = torch.stack(tuple(terms.values())).sum()
    total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()
    return terms


def _gradient_norms(criterion: Criterion) -> dict[str, float]:
    return criterion.take_gradient_norms() if isinstance(criterion, LogsGradients) else {}


def _check_clock(started: float, config: TrainConfig, epoch: int) -> None:
    if config.time_limit_s is not None and time.monotonic() - started > config.time_limit_s:
        raise TrainingTimeoutError(
            f"training ran past {config.time_limit_s:.0f} s in epoch {epoch + 1} of {config.epochs}"
        )


def _channels_last(inputs: Tensor) -> Tensor:
    # Convolutions of few channels run up to twice as fast on CPUs in this layout.
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs


def _optimizer(
    module: nn.Module, criterion: Criterion, config: TrainConfig
) -> torch.optim.Optimizer:
    parameters = [*module.parameters(), *criterion.parameters()]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def _learning_rate(step: int, total_steps: int, config: TrainConfig) -> float:
    warmup_steps = max(1, round(config.warmup_ratio * total_steps))
    if step < warmup_steps:
        return config.learning_rate * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))
