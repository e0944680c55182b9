"""The 8-bit form of a student that `hwkd distill` trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from hwkd.core.final_record import QuantisationChoiceRecord
from hwkd.core.progress import Progress
from hwkd.core.student import Layers
from hwkd.engine.quantise import (
    CalibrationChoice,
    QatMode,
    QuantisationData,
    QuantisationSettings,
    quantise_student,
)
from hwkd.tasks.base import TaskData
from hwkd.train.logit_cache import cached_logits
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher import Teacher, accuracy_ratio

__all__ = ["quantise_distilled"]

_CALIBRATION_SAMPLES = 256


def quantise_distilled(
    folder: Path,
    layers: Layers,
    data: TaskData,
    teacher: Teacher | None,
    *,
    calibration: CalibrationChoice,
    qat: QatMode,
    epochs: int,
    batch_size: int,
    seed: int,
    progress: Progress,
) -> QuantisationChoiceRecord:
    """Write `student_int8.onnx` beside a folder's `student.onnx`.

    Args:
        folder: holds the float student.
        layers: its description.
        data: calibrated, trained and judged on; the test split takes no part.
        teacher: of the exported student; None for one that has none.
        calibration: how ranges are found.
        qat: whether to train with simulated rounding.
        epochs: of the float training.
        batch_size: likewise.
        seed: of the calibration samples and of the training.
        progress: told that it begins.

    Raises:
        ExportError: if the student cannot be quantised.
    """
    progress("quantise", 0, 1)
    train, validation = data.train, data.validation
    order = np.random.default_rng(derive_seed(seed, "calibration")).permutation(len(train))
    logits = None
    if teacher is not None:
        stored = cached_logits(teacher, data, split="train", progress=progress)
        logits = torch.from_numpy(np.array(stored, dtype=np.float32))
    found = quantise_student(
        folder / "student.onnx",
        folder / "student_int8.onnx",
        layers,
        QuantisationData(
            calibration=np.ascontiguousarray(train.inputs[np.sort(order[:_CALIBRATION_SAMPLES])]),
            train_inputs=torch.from_numpy(np.array(train.inputs)),
            train_labels=torch.from_numpy(np.array(train.labels)),
            teacher_logits=logits,
            validation_inputs=validation.inputs,
            validation_labels=validation.labels,
            error_ratio=lambda outputs, labels: 1.0 - accuracy_ratio(outputs, labels),
        ),
        QuantisationSettings(
            calibration=calibration,
            qat=qat,
            full_epochs=epochs,
            batch_size=batch_size,
            seed=derive_seed(seed, "quantise"),
        ),
    )
    progress("quantise", 1, 1)
    return found
