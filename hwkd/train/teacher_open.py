"""Opens the teacher that a search asks for: trained here, an ONNX file or the user's factory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch

from hwkd.core.errors import TeacherError
from hwkd.core.head import Head
from hwkd.core.progress import Progress, silent
from hwkd.core.teacher_input import is_teacher_file
from hwkd.core.teaching import TeacherLesson
from hwkd.train.dataset import Dataset
from hwkd.train.teacher_answers import AnswersTeacher, load_answers
from hwkd.train.teacher_input import AS_STUDENTS, SeenInput
from hwkd.train.teacher_module import ModuleTeacher, load_factory_teacher
from hwkd.train.teacher_onnx import OnnxTeacher, load_onnx_teacher
from hwkd.train.teacher_trained import TeacherTraining, train_or_load_teacher

# One teacher by itself; of the first two kinds one may have other classes than the data.
NetworkTeacher: TypeAlias = OnnxTeacher | ModuleTeacher | AnswersTeacher


def open_teacher(
    source: str | None,
    data: Dataset,
    *,
    weights: Path | None = None,
    seen: SeenInput = AS_STUDENTS,
    head: Head | None = None,
    training: TeacherTraining | None = None,
    lesson: TeacherLesson | None = None,
    device: torch.device,
    own_dir: Path | None = None,
    progress: Progress = silent,
    check: Callable[[], None] = lambda: None,
) -> NetworkTeacher:
    """Open or train a teacher for the data.

    Args:
        source: None trains one; a path ending in .onnx; a file of answers ending in .safetensors;
            or "package.module:factory".
        data: for its shape, classes and train split.
        weights: safetensors file for a factory.
        seen: what a teacher of the user's expects.
        head: what the outputs of an ONNX file or a factory mean; None is those of the data.
        training: configuration of the trained teacher; None is the default one.
        lesson: what one that is trained here brings beside itself; None is nothing.
        own_dir: of a teacher trained here that is not worth keeping for other runs.
        check: called before every training step; raises to stop.

    Raises:
        TeacherError: if it cannot be opened or does not match the data.
    """
    if weights is not None and (source is None or is_teacher_file(source)):
        raise TeacherError(
            f"--teacher-weights {weights}: goes with --teacher package.module:factory only"
        )
    if source is None:
        return train_or_load_teacher(
            data,
            training or TeacherTraining(),
            device=device,
            lesson=lesson,
            own_dir=own_dir,
            progress=progress,
            check=check,
        )
    if source.lower().endswith(".safetensors"):
        return load_answers(Path(source), data)
    if is_teacher_file(source):
        return load_onnx_teacher(
            Path(source),
            input_shape=data.input_shape,
            head=head or data.head,
            seen=seen,
            accelerator=device.type,
        )
    return load_factory_teacher(
        source, weights=weights, head=head or data.head, device=device, seen=seen
    )
