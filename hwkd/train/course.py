"""Trainings one after another: what each starts from, who teaches it, and whether it takes place.

A stage says how its student and its teacher come from the stages before it. Born-again generations,
snapshots that teach together, ever smaller students with a limit at each step and training with
simulated rounding are lists of stages to one function.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from torch import nn

from hwkd.core.teaching import TeacherSource
from hwkd.core.trial import EpochRecord
from hwkd.train.batches import BatchSource
from hwkd.train.checkpoint import Checkpoints
from hwkd.train.config import TrainConfig
from hwkd.train.criteria import Criterion
from hwkd.train.loop import TrainResult, train_module
from hwkd.train.schedule import Clock

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Generic[M]):
    """What came of a stage.

    Attributes:
        student: trained, in evaluation mode; later stages may change it.
        criterion: that it minimised, with the state that it ended in.
    """

    name: str
    student: M
    criterion: Criterion
    training: TrainResult


Past: TypeAlias = Sequence[Finished[M]]


def _open(past: Sequence[object]) -> bool:
    del past
    return True


def _nobody(past: Sequence[object]) -> None:
    del past


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Generic[M]):
    """One training of a course; functions are given the stages that came before, in order.

    Attributes:
        student: makes the module to train, or goes on with an earlier one.
        source: makes its teacher; None is nobody.
        criterion: (student, teacher) -> what is minimised.
        gate: whether the stage takes place; asked when its turn comes.
    """

    name: str
    student: Callable[[Past[M]], M]
    source: Callable[[Past[M]], TeacherSource | None] = _nobody
    criterion: Callable[[M, TeacherSource | None], Criterion]
    batches: BatchSource
    config: TrainConfig
    gate: Callable[[Past[M]], bool] = _open


@dataclass(frozen=True, slots=True, kw_only=True)
class Course(Generic[M]):
    """What came of a course.

    Attributes:
        finished: stages that took place, in order.
        closed: name of the stage whose gate ended the course; None if all took place.
    """

    finished: tuple[Finished[M], ...]
    closed: str | None


def run_course(
    stages: Sequence[Stage[M]],
    *,
    on_epoch: Callable[[str, EpochRecord], None] = lambda *_: None,
    check: Callable[[], None] = lambda: None,
    clock: Clock = time.monotonic,
    checkpoints: Checkpoints | None = None,
) -> Course[M]:
    """Train stage after stage, until a gate is closed.

    Args:
        stages: in order.
        check: called before every step; raises to stop.
        clock: seconds, monotonic.
        checkpoints: where a course that was killed goes on: stages that ended are read, and the
            one that was cut off continues. None begins it and keeps none.

    Raises:
        TrainingDivergedError: if a term is not finite.
        TrainingTimeoutError: if a stage is longer than its configuration allows.
    """
    finished: list[Finished[M]] = []
    for stage in stages:
        if not stage.gate(finished):
            return Course(finished=tuple(finished), closed=stage.name)
        student = stage.student(finished)
        criterion = stage.criterion(student, stage.source(finished))
        training = train_module(
            student,
            stage.batches,
            criterion,
            stage.config,
            on_epoch=partial(on_epoch, stage.name),
            check=check,
            clock=clock,
            checkpoint=None if checkpoints is None else checkpoints.stage(stage.name, stage.config),
        )
        finished.append(
            Finished(name=stage.name, student=student, criterion=criterion, training=training)
        )
    return Course(finished=tuple(finished), closed=None)
