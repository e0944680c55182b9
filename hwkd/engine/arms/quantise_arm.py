"""The 8-bit form of a student that `hwkd distill` trained."""

from __future__ import annotations

import torch

from hwkd.core.final_record import QuantisationChoiceRecord
from hwkd.core.progress import Progress
from hwkd.core.student import Layers
from hwkd.core.trial import EpochRecord
from hwkd.distill.int8_methods import int8_recipe
from hwkd.distill.sources import TeacherSource
from hwkd.engine.arms.arm import ArmResult
from hwkd.engine.arms.quantise import (
    QuantisationData,
    QuantisationSettings,
    quantise_student,
)
from hwkd.engine.setup.calibration import calibration_inputs
from hwkd.io.student_folder import StudentFiles
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.tasks.base import TaskData
from hwkd.train.loop import Criterion

__all__ = ["quantise_distilled"]

_STAGE = "quantise"


def quantise_distilled(
    files: StudentFiles,
    layers: Layers,
    data: TaskData,
    exported: ArmResult,
    settings: QuantisationSettings,
    *,
    calibration_seed: int,
    progress: Progress,
) -> QuantisationChoiceRecord:
    """Write the int8 file beside a student's float file.

    Args:
        files: of the student; the float one is there.
        layers: its description.
        data: calibrated and judged on; the test split takes no part.
        exported: how it was trained; simulated rounding goes on with its data, methods and
            adapters.
        settings: what to try.
        calibration_seed: of the samples that set the ranges.
        progress: told about every epoch with simulated rounding.

    Raises:
        ExportError: if the student cannot be quantised.
    """
    progress(_STAGE, 0, 1)
    # Apple's GPUs have no float64, which simulated rounding needs for biases.
    device = exported.run.loaded.batches.device
    run = exported.run.on(torch.device("cpu")) if device.type == "mps" else exported.run
    goes_on = int8_recipe(exported.arm.methods)
    epochs = settings.training().epochs

    def criterion(student: FakeQuantStudent, own: TeacherSource) -> Criterion:
        source = own if goes_on.follows_itself else run.source
        return run.criterion(
            student,
            seed=settings.seed,
            methods=goes_on.methods,
            source=source,
            state=exported.state,
        )

    def tell(record: EpochRecord) -> None:
        terms = " ".join(f"{name} {value:.3f}" for name, value in record.losses.items())
        progress("train with simulated int8 rounding", record.epoch, epochs, terms)

    found = quantise_student(
        files.float_path,
        files.int8_path,
        layers,
        QuantisationData(
            calibration=calibration_inputs(data, calibration_seed),
            batches=run.loaded.batches,
            criterion=criterion,
            validation_inputs=data.validation.inputs,
            validation_labels=data.validation.labels,
            head=data.head,
        ),
        settings,
        on_epoch=tell,
    )
    progress(_STAGE, 1, 1)
    return found
