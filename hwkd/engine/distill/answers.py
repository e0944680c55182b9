"""`hwkd answers`: a teacher's outputs on a student's data, as one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.progress import Progress
from hwkd.core.teaching_record import SoftAnswers
from hwkd.engine.arms.evaluation import student_logits
from hwkd.engine.arms.teaching import answers_to_validation
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.resolve import resolve_student
from hwkd.engine.setup.hardware import accelerator_device
from hwkd.engine.setup.teacher import open_teachers
from hwkd.io.student_folder import INT8_FILE, student_folder_of
from hwkd.tasks.base import TaskData
from hwkd.train.teacher import Teacher, require_knowledge
from hwkd.train.teacher_answers import load_answers, write_answers
from hwkd.train.teacher_replayed import replay


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenAnswers:
    """What was written.

    Attributes:
        path: of the file.
        teacher: whose answers they are.
        examples: of all splits.
        top: classes kept of each answer; None is all outputs.
        file_bytes: of the file.
        full_bytes: of all outputs in float16, as the cache holds them.
        data: fingerprint of the data that they are about.
        replayed: examples that kept the answers of an older file.
        agreement: share of validation on which the student's int8 file says the teacher's class, 0
            to 1; None of a student without one, or where there are no classes.
        said: what the answers to validation are like, whole ones; None where there are no classes.
    """

    path: Path
    teacher: str
    examples: int
    top: int | None
    file_bytes: int
    full_bytes: int
    data: str
    said: SoftAnswers | None = None
    replayed: int = 0
    agreement: float | None = None


def write_teacher_answers(
    request: DistillRequest, *, top: int | None, extends: Path | None = None, progress: Progress
) -> WrittenAnswers:
    """Ask the teacher of a student about its data and write the answers.

    Args:
        request: names student, data and teacher as for a distillation; `out` is the file.
        top: classes kept of each answer; None is all outputs, or as many as an older file has.
        extends: an older file, whose answers stay; the teacher is asked about new examples alone.

    Raises:
        HwkdError: if the teacher cannot be had, knows nothing, or does not fit the data.
    """
    resolved = resolve_student(request, progress=progress)
    data = resolved.data

    def ask() -> Teacher:
        return open_teachers(
            resolved.config,
            data,
            device=accelerator_device(resolved.config.accelerator),
            own_dir=resolved.teacher_dir,
            progress=progress,
        )

    old = None if extends is None else replay(extends, data, top=top, ask=ask)
    teacher = ask() if old is None else old
    said = teacher.logits(np.asarray(data.validation.inputs))
    require_knowledge(teacher, data, validation_outputs=said)
    kept = top if old is None else old.record.top
    record = write_answers(request.out, teacher, data, top=kept)
    load_answers(request.out, data)  # what was written is what will be read
    examples = sum(record.examples.values())
    return WrittenAnswers(
        path=request.out,
        teacher=teacher.description,
        examples=examples,
        top=record.top,
        file_bytes=request.out.stat().st_size,
        full_bytes=2 * examples * record.num_outputs,
        data=record.data,
        said=answers_to_validation(said, data),
        replayed=0 if old is None else old.replayed,
        agreement=_agreement(request.student, said, data),
    )


def _agreement(student: str, logits: NDArray[np.float32], data: TaskData) -> float | None:
    """Return how often a finished student's int8 file says what a teacher says of validation."""
    path = Path(student)
    if not path.is_dir() or not data.head.kind.of_classes or logits.ndim != 2:
        return None
    file = student_folder_of(path) / INT8_FILE
    if not file.is_file():
        return None
    inputs = np.asarray(data.validation.inputs)
    ours = data.head.answers(student_logits(file, inputs), inputs)
    return float((ours == data.head.answers(logits, inputs)).mean())
