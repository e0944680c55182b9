"""What a teacher says of validation beside its labels, and how near a student came to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.soft_answers import soft_answers
from hwkd.core.teaching_record import SoftAnswers, TeachingRecord
from hwkd.engine.arms.evaluation import student_logits
from hwkd.tasks.base import TaskData


def answers_to_validation(logits: NDArray[np.float32], data: TaskData) -> SoftAnswers | None:
    """Return what answers to the validation split say beside its labels; None of no classes.

    Args:
        logits: shape [examples, classes].
    """
    labels = np.asarray(data.validation.labels)
    if not data.head.kind.of_classes or logits.ndim != 2 or labels.ndim != 1:
        return None
    inputs = np.asarray(data.validation.inputs)
    named = data.head.targets(data.head.answers(logits, inputs), inputs)
    return soft_answers(logits, labels, data.class_names, is_right=named == labels)


def teaching_record(
    teacher: NDArray[np.float32] | None, int8_path: Path, data: TaskData
) -> TeachingRecord | None:
    """Return a teacher and an int8 student side by side; None without a teacher of classes.

    Args:
        teacher: its outputs for validation, shape [examples, classes].
    """
    said = None if teacher is None else answers_to_validation(teacher, data)
    if teacher is None or said is None:
        return None
    inputs = np.asarray(data.validation.inputs)
    logits = student_logits(int8_path, inputs)
    own = answers_to_validation(logits, data)
    if own is None:
        return None
    same = data.head.answers(logits, inputs) == data.head.answers(teacher, inputs)
    return TeachingRecord(teacher=said, student=own, agreement=float(same.mean()))
