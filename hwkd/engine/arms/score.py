"""How good a trained student is: in float, and as an int8 file, which is what ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from hwkd.core.choices import CalibrationChoice
from hwkd.core.student import Layers
from hwkd.engine.arms.evaluation import deploy_student, student_logits
from hwkd.nn.build import StudentModule
from hwkd.tasks.base import SplitName, TaskData

__all__ = ["Scores", "file_scores", "score_student"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Values of the task's primary metric for one student.

    Attributes:
        validation: of the int8 file; students are chosen by it.
        test: of the int8 file; nothing is chosen by it.
        validation_float: of the float file.
        test_float: of the float file.
    """

    validation: float
    test: float
    validation_float: float
    test_float: float


def score_student(
    module: StudentModule,
    layers: Layers,
    data: TaskData,
    *,
    calibration: NDArray[np.float32],
    ranges: CalibrationChoice,
) -> Scores:
    """Export a student, run both files over validation and test, and keep neither.

    Args:
        module: trained.
        layers: its description.
        data: to judge it on.
        calibration: inputs that set the ranges.
        ranges: how they are found.

    Raises:
        ExportError: if the student cannot be quantised.
    """
    with TemporaryDirectory(prefix="hwkd-score-") as folder:
        files = deploy_student(module, layers, Path(folder), calibration=calibration, ranges=ranges)
        metric = data.head.metrics[0]
        return Scores(
            validation=metric.of(file_scores(files.int8_path, data, "validation")),
            test=metric.of(file_scores(files.int8_path, data, "test")),
            validation_float=metric.of(file_scores(files.float_path, data, "validation")),
            test_float=metric.of(file_scores(files.float_path, data, "test")),
        )


def file_scores(path: Path, data: TaskData, name: SplitName) -> dict[str, float]:
    """Run a student's file over a split; returns every metric of the task by name."""
    split = data.split(name)
    return data.head.scores(student_logits(path, split.inputs), split.labels)
