"""The teacher of a run as candidates need it: its name, and its outputs in the cache.

Nothing here imports torch: a run whose teacher is known goes on without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hwkd.core.errors import CacheGoneError
from hwkd.core.progress import Progress
from hwkd.core.run_record import TeacherRecord
from hwkd.core.trial import TrialRecord
from hwkd.engine.run.prepared import check_teacher_unchanged, named_teacher
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.prepare import Prepared
from hwkd.train.logit_cache import cached_logits, logits_entry, logits_of_copies
from hwkd.train.teacher import Teacher

# Holds a teacher that is of use to one run alone.
TEACHER_FOLDER = "teacher"
# Of a brief training's error, what a full one leaves, less the gain below which distilling gave
# nothing: of 54,000 pictures .0807 became .0708 in 150 passes with labels alone, .0733 with a
# teacher of .0663.
_FULL_TO_BRIEF = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherStage:
    """What came of the teacher.

    Attributes:
        teacher: ready, its outputs in the cache; None when students learn from labels alone.
        record: of the teacher; None without one.
        left_out: why there is none, for people; None when there is one or none was wanted.
    """

    teacher: Teacher | None = None
    record: TeacherRecord | None = None
    left_out: str | None = None


def known_teacher(
    store: RunFolder, prepared: Prepared, record: TeacherRecord | None, *, progress: Progress
) -> TeacherStage:
    """Return the teacher that a run began with; a user's own file must be the same still.

    Args:
        record: of the teacher; None where the run has none.

    Raises:
        ConfigError: if it is another teacher now.
    """
    if named_teacher(store) is None:
        return TeacherStage()
    if not prepared.config.teacher.sources and record is not None:
        return TeacherStage(record=record)
    from hwkd.engine.run.teacher_stage import prepare_teacher  # torch, where a file is opened

    stage = prepare_teacher(prepared.config, prepared.transfer, progress=progress)
    if stage.teacher is not None and stage.record is not None:
        check_teacher_unchanged(store, stage.teacher)
    return stage


def kept_teacher(
    store: RunFolder, prepared: Prepared, stage: TeacherStage, *, progress: Progress
) -> Teacher | None:
    """Return the teacher of a run once its outputs are where trainings read them.

    Args:
        progress: told while it is made and run.

    Returns:
        One that need not run; None for a run without one.
    """
    teacher = stage.teacher or named_teacher(store)
    if teacher is None:
        return None
    try:
        _keep_outputs(teacher, prepared, progress)
        return teacher
    except CacheGoneError:  # the user emptied the cache: the same teacher answers once more
        from hwkd.engine.run.teacher_stage import prepare_teacher

        again = prepare_teacher(
            prepared.config,
            prepared.transfer,
            trained_within_s=None if stage.record is None else stage.record.trained_within_s,
            own_dir=store.path / TEACHER_FOLDER,
            progress=progress,
        ).teacher
        if again is not None:
            check_teacher_unchanged(store, again)
            _keep_outputs(again, prepared, progress)
        return again


def _keep_outputs(teacher: Teacher, prepared: Prepared, progress: Progress) -> None:
    transfer = prepared.transfer
    cached_logits(teacher, prepared.data, split="validation", progress=progress)
    logits_of_copies(
        teacher,
        transfer,
        _copies(prepared),
        augmentation=transfer.augmentation,
        progress=progress,
    )


def teacher_outputs(teacher: Teacher | None, prepared: Prepared) -> list[Path]:
    """Return the entries of the cache with the teacher's outputs that trainings read."""
    if teacher is None:
        return []
    transfer = prepared.transfer
    return [
        logits_entry(teacher, prepared.data, split="validation"),
        *(
            logits_entry(
                teacher,
                transfer,
                split="train",
                copy_seed=seed,
                augmentation=transfer.augmentation,
            )
            for seed in _copies(prepared)
        ),
    ]


def _copies(prepared: Prepared) -> tuple[int | None, ...]:
    """Return the copies that the teacher answers; the default method follows from the plain one."""
    plain = () if prepared.config.distill else (None,)
    return tuple(dict.fromkeys((*plain, *prepared.transfer.copy_seeds)))


def error_to_beat(teacher_error: float, config: SearchConfig) -> float:
    """Return the validation error at which a candidate, trained briefly, has beaten the teacher.

    One that a user named is beaten by a candidate as good. One that was trained here within a time
    limit is of no use to a student that will be about as good once it is trained in full. One that
    sees what students do not is never beaten: what it knows beyond their features, its score does
    not say. An embedding of speech missed 9 % of a wake word on validation, where students missed 8
    to 17 % by labels alone, and 2 to 4 % taught by it.

    Args:
        teacher_error: on validation, 0 is best.
        config: says whose teacher it is, and whether time is limited.
    """
    if config.teacher.sees != "students":
        return -math.inf
    is_own = not config.teacher.sources
    return teacher_error / _FULL_TO_BRIEF if is_own and config.timeout_s else teacher_error


def beaten_by(error_to_beat: float, records: Iterable[TrialRecord]) -> TrialRecord | None:
    """Return the first candidate that has beaten the teacher.

    The candidate was trained briefly, and in 8 bits; in full it will be better still.

    Args:
        error_to_beat: at most so much on validation, 0 is best.
        records: finished candidates, in order.
    """
    return next(
        (
            record
            for record in records
            if record.state == "completed"
            and record.objective is not None
            and record.objective.task_error <= error_to_beat
        ),
        None,
    )
