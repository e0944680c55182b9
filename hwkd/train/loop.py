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

import torch
from torch import Tensor, nn

from hwkd.core.errors import HwkdError
from hwkd.core.signals import Batch
from hwkd.core.trial import EpochRecord
from hwkd.train.averaging import (
    STEPS_BETWEEN_AVERAGES,
    WeightAverage,
    has_batch_statistics,
    set_statistics,
)
from hwkd.train.batches import BatchSource, BatchStream, in_fast_layout
from hwkd.train.checkpoint import Facts, StageCheckpoint, Trainee, TrainingEnd
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import Criterion, LogsGradients, TakesTurns
from hwkd.train.optimizers import make_optimizer
from hwkd.train.precision import computing_in
from hwkd.train.schedule import Clock, Position, learning_rate

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


class TrainingDivergedError(HwkdError):
    """The loss stopped being a finite number."""


class TrainingTimeoutError(RuntimeError):
    """Training ran past its time limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """What training did; the module itself is trained in place.

    Attributes:
        epochs: one record each; the last may be of a part of an epoch.
        epochs_made: passes over what an epoch draws, with the fraction of the last one.
        ended_by: all epochs were made, or the time budget was used.
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
                raise TrainingDivergedError(
                    f"loss term {name} is not finite in epoch {epoch + 1}: the training diverged; "
                    "try another --seed, more epochs or a wider student"
                )

    def means(self) -> dict[str, float]:
        return {name: float(total) / self.steps for name, total in self.sums.items()}


def train_module(
    module: nn.Module,
    batches: BatchSource,
    criterion: Criterion,
    config: TrainConfig,
    *,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
    clock: Clock = time.monotonic,
    checkpoint: StageCheckpoint | None = None,
) -> TrainResult:
    """Train a module in place and leave it in evaluation mode.

    Args:
        config: length, optimizer, rates, augmentation, seed.
        on_epoch: called after every epoch, the unfinished last one included.
        check: called before every step; raises to stop (timeout of the caller, interruption).
        clock: seconds, monotonic.
        checkpoint: where the training goes on if it was killed; None begins it and keeps none.

    Raises:
        TrainingDivergedError: if a term is not finite.
        TrainingTimeoutError: if `config.time_limit_s` is over.
    """
    stream = batches.stream(config)
    statistics = _statistics_batches(stream, stream.steps_per_epoch * config.epochs)
    averages = config.averaging_decay is not None and has_batch_statistics(module)
    position = Position(
        total_steps=stream.steps_per_epoch * config.epochs, time_budget_s=config.time_budget_s,
        # A pass forward is a third of a step.
        closing_steps=-(-statistics // 3) if averages else 0, clock=clock, started_s=clock(),
    )  # fmt: skip
    run = _Run(module, criterion, config, batches.device, stream)
    records, ended_by = _restored(run.trainee, position, checkpoint, on_epoch)
    if ended_by is not None:
        module.eval()
        return _result(records, position, stream, ended_by)
    module.train()
    for epoch in range(len(records), config.epochs):

        def ends(epoch: int = epoch) -> TrainingEnd | None:
            check()
            _require_time(position, config, epoch)
            return None if position.goes_on() else "time"

        means, ended_by = run.epoch(epoch, stream, position, ends)
        if means.steps:
            records.append(run.record(epoch, means))
            on_epoch(records[-1])
        if ended_by is not None:
            break
        if checkpoint is not None and epoch + 1 < config.epochs:
            checkpoint.offer(_facts(records, position), run.trainee.state)
    run.close(stream.plain(statistics))
    module.eval()
    if checkpoint is not None and ended_by is None:
        checkpoint.offer(_facts(records, position, "epochs"), run.trainee.result)
    return _result(records, position, stream, ended_by or "epochs")


def _restored(
    trainee: Trainee,
    position: Position,
    checkpoint: StageCheckpoint | None,
    on_epoch: Callable[[EpochRecord], None],
) -> tuple[list[EpochRecord], TrainingEnd | None]:
    """Put a training where its checkpoint was; returns its epochs, and how it ended if it did."""
    found = None if checkpoint is None else checkpoint.read()
    if found is None:
        return [], None
    facts, state = found
    trainee.load(state)
    position.steps = facts.steps
    position.started_s -= facts.elapsed_s
    # What trains nothing, as the mean of clients' weights, has no epoch to tell of.
    if facts.epochs:
        on_epoch(facts.epochs[-1])
    return list(facts.epochs), facts.ended_by


def _facts(
    records: Sequence[EpochRecord], position: Position, ended_by: TrainingEnd | None = None
) -> Facts:
    return Facts(
        epochs=tuple(records),
        steps=position.steps,
        elapsed_s=position.elapsed_s(),
        ended_by=ended_by,
    )


def _result(
    records: Sequence[EpochRecord],
    position: Position,
    stream: BatchStream,
    ended_by: TrainingEnd,
) -> TrainResult:
    return TrainResult(
        epochs=tuple(records),
        steps=position.steps,
        epochs_made=position.steps / stream.steps_per_epoch,
        ended_by=ended_by,
        seconds=position.elapsed_s(),
    )


@torch.no_grad()
def predict_logits(module: nn.Module, inputs: Tensor, *, batch_size: int = 1024) -> Tensor:
    """Return logits, shape [samples, outputs], of a module in evaluation mode."""
    module.eval()
    parts = [in_fast_layout(inputs[i : i + batch_size]) for i in range(0, len(inputs), batch_size)]
    return torch.cat([module(part) for part in parts])


def _statistics_batches(stream: BatchStream, total_steps: int) -> int:
    """Return how many batches statistics are taken from: enough, in a small part of training."""
    fewest, enough = 2, -(-_STATISTICS_SAMPLES // stream.batch_size)
    return min(stream.plain_batches, enough, max(fewest, total_steps // 20))


class _Run:
    """What a training carries from step to step."""

    def __init__(
        self,
        module: nn.Module,
        criterion: Criterion,
        config: TrainConfig,
        device: torch.device,
        stream: BatchStream,
    ) -> None:
        self._learning_rate = 0.0
        self._module = module
        self._criterion = criterion
        self._config = config
        self._device = device
        turns = criterion.turns(module) if isinstance(criterion, TakesTurns) else ()
        self._turns = [
            (make_optimizer(learns, config, module=module), steps) for learns, steps in turns
        ]
        apart = {id(parameter) for learns, _ in turns for parameter in learns}
        learning = (p for p in module.parameters() if p.requires_grad)
        together = [*learning, *criterion.parameters()]
        self._optimizer = make_optimizer(
            [p for p in together if id(p) not in apart], config, module=module
        )
        decay = config.averaging_decay
        self._average = None if decay is None else WeightAverage(module, decay)
        self.trainee = Trainee(
            module=module,
            criterion=criterion,
            optimizers=(self._optimizer, *(optimizer for optimizer, _ in self._turns)),
            average=self._average,
            stream=stream,
        )

    def epoch(
        self,
        number: int,
        stream: BatchStream,
        position: Position,
        ends: Callable[[], TrainingEnd | None],
    ) -> tuple[_TermMeans, TrainingEnd | None]:
        """Make the steps of an epoch; returns their terms, and why it ended early if it did.

        Args:
            number: counted from 0.
            position: in the training; moves on.
        """
        means, ended_by = _TermMeans(), None
        batches = stream.epoch(number)
        for _ in range(stream.steps_per_epoch):
            ended_by = ends()
            if ended_by is not None:
                break
            batch = next(batches)
            batch.epoch_ratio = position.done_ratio
            means.add(self.step(batch, position))
            position.steps += 1
            if position.steps % _STEPS_BETWEEN_FINITE_CHECKS == 1:
                means.require_finite(number)
        means.require_finite(number)
        return means, ended_by

    def record(self, epoch: int, means: _TermMeans) -> EpochRecord:
        """Return what an epoch came to."""
        return EpochRecord(
            epoch=epoch + 1,
            learning_rate=self._learning_rate,
            losses=means.means(),
            grad_norms=_gradient_norms(self._criterion),
        )

    def step(self, batch: Batch, position: Position) -> dict[str, Tensor]:
        """Make a step; returns the criterion's terms."""
        self._learning_rate = learning_rate(position.done_ratio, position.step_ratio, self._config)
        turned: dict[str, Tensor] = {}
        for index, (optimizer, steps) in enumerate(self._turns):
            for _ in range(steps):
                turned |= self._stepped(optimizer, batch, index)
        terms = self._stepped(self._optimizer, batch) | turned
        if self._average is not None and (position.steps + 1) % STEPS_BETWEEN_AVERAGES == 0:
            self._average.update()
        return terms

    def _stepped(
        self, optimizer: torch.optim.Optimizer, batch: Batch, turn: int | None = None
    ) -> dict[str, Tensor]:
        """Make a step of an optimizer; returns the terms that it lowered."""
        for group in optimizer.param_groups:
            group["lr"] = self._learning_rate * group["factor"]
        optimizer.zero_grad(set_to_none=True)
        with computing_in(self._config.precision, self._device):
            if turn is None:
                terms = self._criterion(self._module, batch)
            else:
                assert isinstance(self._criterion, TakesTurns)
                terms = self._criterion.turn(turn, self._module, batch)
        total = next(iter(terms.values())) if len(terms) == 1 else _sum(terms)
        torch.autograd.backward(total)
        optimizer.step()
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


def _require_time(position: Position, config: TrainConfig, epoch: int) -> None:
    if config.time_limit_s is not None and position.elapsed_s() > config.time_limit_s:
        raise TrainingTimeoutError(
            f"training ran past {config.time_limit_s:.0f} s in epoch {epoch + 1} of {config.epochs}"
        )
