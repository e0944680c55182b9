"""The one training loop: students, teachers' pupils and controls all run through `train_module`.

The loop owns batches, the optimizer, the learning rate and the clock. What is minimised is a
`Criterion`: it runs the module and returns named terms, so cross-entropy, distillation from cached
or live teachers and pair samplers are all data to this loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from hwkd.core.trial import EpochRecord
from hwkd.train.averaging import (
    STEPS_BETWEEN_AVERAGES,
    WeightAverage,
    has_batch_statistics,
    set_statistics,
)
from hwkd.train.batches import BatchMaker, in_fast_layout
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import Batch, Criterion, LogsGradients
from hwkd.train.optimizers import make_optimizer
from hwkd.train.precision import computing_in
from hwkd.train.schedule import Clock, Course, learning_rate
from hwkd.train.seeding import derive_seed

__all__ = [
    "Batch",
    "Criterion",
    "LogsGradients",
    "TrainConfig",
    "TrainResult",
    "TrainingDivergedError",
    "TrainingEnd",
    "TrainingTimeoutError",
    "predict_logits",
    "train_module",
]

# Small enough to notice divergence within a second, rare enough not to stall an accelerator.
_STEPS_BETWEEN_FINITE_CHECKS = 25
_STATISTICS_SAMPLES = 2_048


class TrainingDivergedError(RuntimeError):
    """The loss stopped being a finite number."""


class TrainingTimeoutError(RuntimeError):
    """Training ran past its time limit."""


TrainingEnd: TypeAlias = Literal["epochs", "time", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What training did; the module itself is trained in place.

    Attributes:
        epochs: one record each; the last may be of a part of an epoch.
        steps: made.
        epochs_made: passes over what an epoch draws, with the fraction of the last one.
        ended_by: all epochs were made, the time budget was used, or `stop` said so.
        seconds: wall time, averaging included.
    """

    epochs: tuple[EpochRecord, ...]
    steps: int
    epochs_made: float
    ended_by: TrainingEnd
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
    stop: Callable[[], bool] | None = None,
    clock: Clock = time.monotonic,
) -> TrainResult:
    """Train a module in place and leave it in evaluation mode.

    Args:
        module: on the device of `views`.
        views: augmented versions of the training inputs, each [samples, *input_shape]; epoch
            number e uses view e modulo their number. One view is the data as it is, which
            `config.augmentation` moves about in every batch.
        labels: shape [samples], int64.
        criterion: what is minimised.
        config: length, optimizer, rates, augmentation, seed.
        on_epoch: called after every epoch, the unfinished last one included.
        check: called before every step; raises to stop (timeout of the caller, interruption).
        stop: asked before every step; once it says True, training ends at once and keeps the
            weights that it has, averaged if they are averaged.
        clock: seconds, monotonic.

    Raises:
        TrainingDivergedError: if a term is not finite.
        TrainingTimeoutError: if `config.time_limit_s` is over.
    """
    plan = _Plan.of(config, samples=int(labels.shape[0]))
    averages = config.averaging_decay is not None and has_batch_statistics(module)
    course = Course(
        total_steps=plan.total_steps,
        time_budget_s=config.time_budget_s,
        # A pass forward is a third of a step.
        closing_steps=-(-plan.statistics_batches // 3) if averages else 0,
        clock=clock,
        started_s=clock(),
    )
    run = _Run(module, criterion, config, labels.device)
    order_generator = torch.Generator().manual_seed(config.seed)
    records: list[EpochRecord] = []
    ended_by: TrainingEnd | None = None
    module.train()
    for epoch in range(config.epochs):
        means = _TermMeans()
        order = torch.randperm(plan.samples, generator=order_generator).to(labels.device)
        view = epoch % len(views)
        inputs = in_fast_layout(views[view])
        for position in range(plan.steps_per_epoch):
            if check is not None:
                check()
            _require_time(course, config, epoch)
            if not course.goes_on():
                ended_by = "time"
                break
            if stop is not None and stop():
                ended_by = "stop"
                break
            sample_ids = order[position * plan.batch_size : (position + 1) * plan.batch_size]
            batch = Batch(
                inputs=run.batches.draw(inputs, sample_ids),
                labels=labels.index_select(0, sample_ids),
                sample_ids=sample_ids,
                view=view,
                epoch_ratio=course.done_ratio,
            )
            means.add(run.step(batch, course))
            course.steps += 1
            if course.steps % _STEPS_BETWEEN_FINITE_CHECKS == 1:
                means.require_finite(epoch)
        if means.steps:
            means.require_finite(epoch)
            records.append(
                EpochRecord(
                    epoch=epoch + 1,
                    learning_rate=run.learning_rate,
                    losses=means.means(),
                    grad_norms=_gradient_norms(criterion),
                )
            )
            if on_epoch is not None:
                on_epoch(records[-1])
        if ended_by is not None:
            break
    run.close(plan.first_batches(views[0]))
    module.eval()
    return TrainResult(
        epochs=tuple(records),
        steps=course.steps,
        epochs_made=course.steps / plan.steps_per_epoch,
        ended_by=ended_by or "epochs",
        seconds=course.elapsed_s(),
    )


@torch.no_grad()
def predict_logits(module: nn.Module, inputs: Tensor, *, batch_size: int = 1024) -> Tensor:
    """Return logits, shape [samples, outputs], of a module in evaluation mode."""
    module.eval()
    parts = [in_fast_layout(inputs[i : i + batch_size]) for i in range(0, len(inputs), batch_size)]
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

    @property
    def statistics_batches(self) -> int:
        """Batches that statistics are taken from: enough samples, in a small part of training."""
        fewest, enough = 2, -(-_STATISTICS_SAMPLES // self.batch_size)
        available = max(1, self.samples // self.batch_size)
        return min(available, enough, max(fewest, self.total_steps // 20))

    def first_batches(self, inputs: Tensor) -> Iterator[Tensor]:
        """Yield batches for the statistics; spread over the data, which may be sorted by class."""
        count = self.statistics_batches
        for start in range(count):
            yield in_fast_layout(inputs[start :: max(1, self.samples // self.batch_size)])


class _Run:
    """What a training carries from step to step."""

    def __init__(
        self, module: nn.Module, criterion: Criterion, config: TrainConfig, device: torch.device
    ) -> None:
        self.batches = BatchMaker(config.augmentation, seed=derive_seed(config.seed, "augment"))
        self.learning_rate = 0.0
        self._module = module
        self._criterion = criterion
        self._config = config
        self._device = device
        self._optimizer = make_optimizer([*module.parameters(), *criterion.parameters()], config)
        decay = config.averaging_decay
        self._average = None if decay is None else WeightAverage(module, decay)

    def step(self, batch: Batch, course: Course) -> dict[str, Tensor]:
        """Make a step; returns the criterion's terms."""
        self.learning_rate = learning_rate(course.done_ratio, course.step_ratio, self._config)
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate
        self._optimizer.zero_grad(set_to_none=True)
        with computing_in(self._config.precision, self._device):
            terms = self._criterion(self._module, batch)
        total = next(iter(terms.values())) if len(terms) == 1 else _sum(terms)
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._optimizer.step()
        if self._average is not None and (course.steps + 1) % STEPS_BETWEEN_AVERAGES == 0:
            self._average.update()
        return terms

    def close(self, batches: Iterator[Tensor]) -> None:
        """Put the averaged weights into the module, with the statistics that belong to them."""
        if self._average is not None and self._average.apply():
            with computing_in(self._config.precision, self._device):
                set_statistics(self._module, batches)


def _sum(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(tuple(terms.values())).sum()


def _gradient_norms(criterion: Criterion) -> dict[str, float]:
    return criterion.take_gradient_norms() if isinstance(criterion, LogsGradients) else {}


def _require_time(course: Course, config: TrainConfig, epoch: int) -> None:
    if config.time_limit_s is not None and course.elapsed_s() > config.time_limit_s:
        raise TrainingTimeoutError(
            f"training ran past {config.time_limit_s:.0f} s in epoch {epoch + 1} of {config.epochs}"
        )
