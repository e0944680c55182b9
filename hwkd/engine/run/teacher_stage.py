"""The teacher of a search: opened or trained within its share, judged, and left out when it is bad.

Distilling from a teacher that is worse than its student costs accuracy, so a teacher has to earn
its place: it must know something, be ready in time, and be better than the students so far.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwkd.core.errors import TeacherError
from hwkd.core.progress import Progress
from hwkd.core.run_record import TeacherRecord
from hwkd.engine.run.run_teacher import TeacherStage
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.hardware import accelerator_device, fewer_threads
from hwkd.engine.setup.methods import configured_methods, wants_teacher
from hwkd.engine.setup.prepare import Prepared
from hwkd.engine.setup.teacher import judge_teacher, open_teachers
from hwkd.engine.setup.time_plan import TimeLimit
from hwkd.engine.setup.transfer import TransferSet
from hwkd.tasks.base import TaskData
from hwkd.train.logit_cache import cached_logits

# Of the teacher's share, what it plans with; opening and judging it take the rest.
_OWN_SHARE = 0.9
# Of the whole limit: the same for every run with this limit, so that the next one finds the teacher
# in the cache, which is asked for by its time.
_NOMINAL_SHARE = 0.12
# Less than this trains nothing worth listening to on any data.
_LEAST_BUDGET_S = 1.0


class _OutOfTimeError(Exception):
    """The teacher's share is used up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Allowance:
    """What a teacher may take, in seconds; None is no bound."""

    budget_s: float | None
    clock: Callable[[], float]
    started_s: float

    @property
    def spent_s(self) -> float:
        """Seconds that it took so far."""
        return self.clock() - self.started_s

    def require_time(self, stage: str = "train teacher") -> None:
        """Raise `_OutOfTimeError` with the stage once the budget is used up."""
        if self.budget_s is not None and self.spent_s > self.budget_s:
            raise _OutOfTimeError(stage)


def _too_short(budget_s: float | None) -> str | None:
    """Say why no teacher can be had in a time; None where one may."""
    if budget_s == 0.0:
        return "at the pace of this machine now, students need all the time that is left"
    if budget_s is not None and budget_s < _LEAST_BUDGET_S:
        return f"its share of the time limit is {budget_s:.1f} s"
    return None


def prepare_teacher(
    config: SearchConfig,
    transfer: TransferSet,
    *,
    budget_s: float | None = None,
    trained_within_s: float | None = None,
    must_finish: bool = False,
    own_dir: Path | None = None,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
) -> TeacherStage:
    """Load or train the teacher, check that it knows something and cache its logits.

    Args:
        config: resolved; names files and factories, or leaves the teacher to be trained.
        budget_s: for training and outputs together; a teacher that is not ready by then is left
            out. None lets it take as long as it takes, and 0 is no time at all.
        trained_within_s: of a teacher that an earlier run trained here, which is taken if it is
            still there; None plans with `budget_s`.
        must_finish: one that could not make all its passes in time is not begun.
        own_dir: where a teacher lies that is not worth keeping for other runs; None keeps none.
        progress: told while it is trained and run.
        clock: seconds, monotonic.

    Raises:
        TeacherError: if the user's teacher does not match the data or is at chance level.
    """
    if not wants_teacher(config):
        return TeacherStage()
    if (too_short := _too_short(budget_s)) is not None:
        return TeacherStage(left_out=too_short)
    allowed = _Allowance(budget_s=budget_s, clock=clock, started_s=clock())
    training_s = trained_within_s or _training_s(config, budget_s)

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        progress(stage, done, total, note)
        allowed.require_time(stage)

    try:
        teacher = open_teachers(
            config,
            transfer.data,
            device=accelerator_device(config.accelerator),
            training_s=training_s,
            must_finish=must_finish,
            own_dir=own_dir,
            progress=tell,
            check=allowed.require_time,
        )
        judged = judge_teacher(teacher, transfer, progress=tell)
        update = {"seconds": allowed.spent_s, "trained_within_s": training_s}
        return TeacherStage(teacher=teacher, record=judged.model_copy(update=update))
    except _OutOfTimeError as over:
        left_out = f"its share of the time limit, {budget_s:.0f} s, was over at: {over}"
        return TeacherStage(left_out=left_out)
    except TeacherError as error:
        if config.teacher.sources:
            raise
        return TeacherStage(left_out=str(error))


def prepare_in_time(
    prepared: Prepared,
    limit: TimeLimit,
    *,
    budget_s: float | None,
    own_dir: Path,
    progress: Progress,
) -> TeacherStage:
    """Make the teacher of a new search ready, at the pace that the machine has now.

    Args:
        limit: of the wall time of it all; learns the pace.
        budget_s: as `prepare_teacher` takes it, like the rest.
        own_dir: likewise.
        progress: likewise.

    Raises:
        TeacherError: as `prepare_teacher`.
    """
    config = prepared.config
    is_here = accelerator_device(config.accelerator).type == "cpu"
    with (
        limit.pacing() if is_here else nullcontext(),
        fewer_threads(is_busy=limit.wants_one_thread),
    ):
        return prepare_teacher(
            config,
            prepared.transfer,
            budget_s=budget_s,
            must_finish=limit.is_limited and configured_methods(config) is None,
            own_dir=own_dir,
            progress=progress,
        )


def tested_teacher(
    stage: TeacherStage, record: TeacherRecord | None, data: TaskData, *, progress: Progress
) -> TeacherRecord | None:
    """Return the record with test scores, where there is a teacher that runs; once, at the end."""
    if stage.teacher is None or record is None or record.scores.validation_float is None:
        return record  # there is none, or it knows no class of the data
    if record.scores.test_float is not None:
        return record  # it, or an earlier call made it and only its outputs are here
    outputs = cached_logits(stage.teacher, data, split="test", progress=progress)
    found = data.scores("test", np.asarray(outputs, dtype=np.float32))
    scores = record.scores.model_copy(update={"test_float": found})
    return record.model_copy(update={"scores": scores})


def _training_s(config: SearchConfig, budget_s: float | None) -> float | None:
    """Return the time in which a teacher is trained; None is as long as it takes."""
    training_s, limit_s = config.teacher.time_budget_s, config.timeout_s
    if budget_s is not None:
        training_s = min(training_s or budget_s, _OWN_SHARE * budget_s)
        if limit_s is not None:
            training_s = min(training_s, _NOMINAL_SHARE * limit_s)
    return training_s
