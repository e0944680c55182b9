"""A student that was trained before as a teacher: its float file, its classes and its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from hwkd.core.errors import TeacherError
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.core.teacher_input import TeacherInput
from hwkd.io.student_folder import FLOAT_FILE, read_student
from hwkd.train.teacher_input import SeenInput


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierStudent:
    """What a student's folder says of it as a teacher.

    Attributes:
        path: of its float ONNX file.
        names: of its classes, in the order of its outputs.
        seen: what it is shown for inputs of the data.
    """

    path: Path
    names: tuple[str, ...]
    seen: SeenInput


def earlier_student(description: Path, pipeline: PipelineRecord, *, kind: str) -> EarlierStudent:
    """Read the student of a folder as a teacher for data.

    Args:
        description: its `student.json`.
        pipeline: of the data.
        kind: of the data's outputs.

    Raises:
        ConfigError: if nothing is there.
        RunFolderError: if a file is missing or changed.
        TeacherError: if its inputs were prepared in another way, or it answers something else.
    """
    student = read_student(description.parent, option="--teacher")
    run = student.record.run
    if run is None or run.data.kind != kind:
        said = "does not say what it answers" if run is None else f"answers with {run.data.kind}"
        raise TeacherError(f"--teacher {description}: {said}; the data has {kind}")
    theirs = run.data.pipeline
    ours, last = pipeline.steps[-1], theirs.steps[-1]
    if (
        theirs.raw_shape != pipeline.raw_shape
        or theirs.steps[:-1] != pipeline.steps[:-1]
        or ours.kind != last.kind
        or (ours != last and ours.kind != "normalise")
    ):
        raise TeacherError(
            f"--teacher {description}: takes inputs of {_times(theirs.raw_shape)} prepared by "
            f"{_steps(theirs)}, and the data has {_times(pipeline.raw_shape)} by "
            f"{_steps(pipeline)}; give its ONNX file with --teacher-input"
        )
    seen = SeenInput(wanted=TeacherInput())
    if ours != last:
        (mean, std), (old_mean, old_std) = _scaling(ours.values), _scaling(last.values)
        scale, offset = np.broadcast_arrays(std / old_std, (mean - old_mean) / old_std)
        seen = SeenInput(
            wanted=TeacherInput(), scale=tuple(scale.tolist()), offset=tuple(offset.tolist())
        )
    return EarlierStudent(path=student.file(FLOAT_FILE), names=run.data.class_names, seen=seen)


def _scaling(values: Any) -> tuple[Any, Any]:
    mean, std = (np.atleast_1d(np.array(cast(Any, values[n]), float)) for n in ("mean", "std"))
    return mean, std


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _steps(pipeline: PipelineRecord) -> str:
    return ", ".join(step.kind for step in pipeline.steps)
