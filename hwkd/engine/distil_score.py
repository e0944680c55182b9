"""How good a trained student is: in float, and as an int8 file, which is what ships."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from hwkd.core.student import Layers
from hwkd.deploy.calibrate import CalibrationMethod
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.nn.build import StudentModule
from hwkd.tasks.base import Split, TaskData
from hwkd.train.teacher import accuracy_ratio

__all__ = ["Scores", "score_student"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Accuracies of one student, 0 to 1.

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
    method: CalibrationMethod,
) -> Scores:
    """Export a student, run both files over validation and test, and keep neither.

    Args:
        module: trained.
        layers: its description.
        data: to judge it on.
        calibration: inputs that set the ranges.
        method: that finds the ranges.

    Raises:
        ExportError: if the student cannot be quantised.
    """
    with TemporaryDirectory(prefix="hwkd-score-") as folder:
        floating, quantised = Path(folder) / "student.onnx", Path(folder) / "student_int8.onnx"
        export_onnx(module, layers, floating)
        quantise_int8(floating, quantised, calibration, method=method)
        return Scores(
            validation=_accuracy(quantised, data.validation),
            test=_accuracy(quantised, data.test),
            validation_float=_accuracy(floating, data.validation),
            test_float=_accuracy(floating, data.test),
        )


def _accuracy(path: Path, split: Split) -> float:
    return accuracy_ratio(predict(open_session(path), split.inputs), split.labels)
