"""A trained student in 8 bits: the best of the ways that need no training, or trained again.

Everything is chosen on validation. Quantisation-aware training starts from the best file
that needs no training, minimises what the float student's training did, and ships only if it is
better.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hwkd.core.choices import CalibrationChoice, QatMode
from hwkd.core.final_record import Correction, QuantisationChoiceRecord
from hwkd.core.head import Head
from hwkd.core.student import Layers
from hwkd.core.teaching import TeacherSource
from hwkd.core.trial import EpochRecord
from hwkd.deploy.calibrate import (
    CALIBRATION_METHODS,
    CalibrationMethod,
    Encoding,
    FloatArray,
    Range,
    activation_ranges,
)
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_int8 import write_int8
from hwkd.deploy.to_onnx import in_file_order, save_model
from hwkd.deploy.weight_correction import (
    correct_biases,
    equalise_channels,
    replace_weights,
)
from hwkd.distill.sources import FunctionSource
from hwkd.engine.arms.rounding import ROUNDING_RATE, rounding_student
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.train.batches import BatchSource
from hwkd.train.checkpoint import Checkpoints
from hwkd.train.course import Stage, run_course
from hwkd.train.loop import Criterion, TrainConfig

_CORRECT: dict[Correction, Callable[[onnx.ModelProto, FloatArray], onnx.ModelProto]] = {
    "channel equalisation": equalise_channels,
    "bias correction": correct_biases,
}
_COMBINATIONS: tuple[tuple[Correction, ...], ...] = (
    ("channel equalisation",),
    ("bias correction",),
    ("channel equalisation", "bias correction"),
)
# An error larger by more than half a point is worth training for; less is within what seeds do.
_WORTH_TRAINING = 0.005
# Of the time that is left, what training with simulated rounding may take before it is scored.
_TRAINING_SHARE = 0.8
_LEAST_TRAINING_S = 2.0
_EPOCHS_RATIO, _MIN_EPOCHS, _MAX_EPOCHS = 0.2, 3, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantisationData:
    """What quantisation may look at; the test split is no part of it.

    Attributes:
        calibration: shape [samples, *input_shape], a part of train that sets the ranges.
        batches: what its training sees, on the training device.
        criterion: (student with simulated rounding, its float form as a teacher) -> what its
            training minimises.
        validation_inputs: shape [samples, *input_shape].
        validation_labels: shape [samples].
    """

    calibration: NDArray[np.float32]
    batches: BatchSource
    criterion: Callable[[FakeQuantStudent, TeacherSource | None], Criterion]
    validation_inputs: NDArray[np.float32]
    validation_labels: NDArray[Any]
    validation_wholes: NDArray[np.int64] | None = None
    head: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantisationSettings:
    """How to quantise.

    Attributes:
        calibration: how ranges are found; "auto" is the best of all on validation.
        qat: train with simulated rounding: "auto" when more than 0.5 points are lost without.
        full_epochs: of the float training; this training takes a fifth of it, 3 to 20.
        batch_size: samples per step.
        seed: order of the samples.
        end_s: when it must be done, by `time.monotonic`: variants that would come later are left
            out, and the training ends by then. None tries them all.
    """

    calibration: CalibrationChoice = "auto"
    qat: QatMode = "auto"
    full_epochs: int
    batch_size: int = 128
    seed: int = 0
    end_s: float | None = None

    def left_s(self) -> float:
        """Return the seconds until `end_s`; infinite without one."""
        return math.inf if self.end_s is None else self.end_s - time.monotonic()

    def trains(self, *, loses: bool) -> bool:
        """Tell whether to train with simulated rounding, by what rounding alone loses."""
        wanted = self.qat == "on" or (self.qat == "auto" and loses)
        return wanted and self.left_s() > _LEAST_TRAINING_S

    def training(self) -> TrainConfig:
        """Return length and speed of the training with simulated rounding."""
        epochs = min(_MAX_EPOCHS, max(_MIN_EPOCHS, round(_EPOCHS_RATIO * self.full_epochs)))
        return TrainConfig(
            epochs=epochs,
            batch_size=self.batch_size,
            learning_rate=ROUNDING_RATE,
            weight_decay=0.0,
            seed=self.seed,
            time_budget_s=None if self.end_s is None else _TRAINING_SHARE * self.left_s(),
        )


def quantise_student(
    float_path: Path,
    int8_path: Path,
    layers: Layers,
    data: QuantisationData,
    settings: QuantisationSettings,
    *,
    on_epoch: Callable[[str, EpochRecord], None] = lambda *_: None,
    check: Callable[[], None] = lambda: None,
    checkpoints: Checkpoints | None = None,
) -> QuantisationChoiceRecord:
    """Write the int8 file of a trained student; returns what was tried and what ships.

    Args:
        float_path: the student as `hwkd.deploy.to_onnx` wrote it.
        int8_path: replaced in one step.
        check: called before every step of a training; raises to stop.
        checkpoints: where a training goes on if it was killed; None begins it and keeps none.

    Raises:
        ExportError: if the student cannot be quantised.
    """
    with TemporaryDirectory(prefix="hwkd-quantise-") as temporary:
        work = _Workplace(Path(temporary), data)
        in_float = work.judged(float_path)
        best = _post_training(onnx.load(float_path), in_float, settings, work)
        trained: tuple[onnx.ModelProto, _Judged] | None = None
        loses = best.judged.error - in_float.error > _WORTH_TRAINING
        stage = Stage(
            name="train with simulated int8 rounding",
            student=lambda _: rounding_student(layers, best.model, best.ranges).to(
                data.batches.device
            ),
            source=lambda _: FunctionSource(partial(predict, open_session(float_path))),
            criterion=data.criterion,
            batches=data.batches,
            config=settings.training(),
            gate=lambda _: settings.trains(loses=loses),
        )
        course = run_course([stage], on_epoch=on_epoch, check=check, checkpoints=checkpoints)
        for done in course.finished:
            trained = _deployed(done.student.cpu(), best, work)
            epochs = math.ceil(done.training.epochs_made)
        ships_trained = trained is not None and trained[1].error < best.judged.error
        save_model(trained[0] if trained and ships_trained else best.int8, int8_path)
    return QuantisationChoiceRecord(
        calibration=best.variant.method,
        corrections=best.variant.corrections,
        metric=data.head.metrics[0],
        validation_float=in_float.score,
        validation_ptq=best.judged.score,
        validation_qat=None if trained is None else trained[1].score,
        qat_epochs=None if trained is None else epochs,
        ships="qat" if ships_trained else "ptq",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """On validation: the task's error, which decides, and its primary metric, for the record."""

    error: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variant:
    """One way without training."""

    method: CalibrationMethod
    corrections: tuple[Correction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quantised:
    """What came of a variant: float model after corrections, its ranges, its int8 form."""

    variant: _Variant
    model: onnx.ModelProto
    ranges: dict[str, Range]
    int8: onnx.ModelProto
    judged: _Judged


@dataclass(frozen=True, slots=True)
class _Workplace:
    folder: Path
    data: QuantisationData

    def judged(self, path: Path) -> _Judged:
        """Return error and score of a file on validation."""
        outputs = predict(open_session(path), self.data.validation_inputs)
        head, labels = self.data.head, self.data.validation_labels
        return _Judged(
            error=float(head.errors(outputs, labels).mean()),
            score=head.metrics[0].of(head.scores(outputs, labels, self.data.validation_wholes)),
        )

    def int8(
        self, model: onnx.ModelProto, encodings: dict[str, Encoding]
    ) -> tuple[onnx.ModelProto, _Judged]:
        """Return the int8 form of a float model, judged."""
        path = self.folder / "int8.onnx"
        write_int8(model, encodings, path, name="student")
        return onnx.load(path), self.judged(path)


def _post_training(
    model: onnx.ModelProto, in_float: _Judged, settings: QuantisationSettings, work: _Workplace
) -> _Quantised:
    """Return the best variant: of the methods first, then of the corrections to the weights.

    One that loses nothing ends it: what is better than the float student is so by luck.
    """
    chosen = settings.calibration
    first, *others = CALIBRATION_METHODS if chosen == "auto" else (chosen,)
    begun = time.monotonic()
    best = _quantised(model, _Variant(method=first), work)
    one_s = time.monotonic() - begun

    def better(variants: Sequence[_Variant]) -> _Quantised:
        # The first of equals: fewer changes to the weights, the plainer method.
        found = best
        for variant in variants:
            if found.judged.error <= in_float.error or settings.left_s() <= one_s:
                break
            tried = _quantised(model, variant, work)
            found = min(found, tried, key=lambda quantised: quantised.judged.error)
        return found

    best = better([_Variant(method=method) for method in others])
    method = best.variant.method
    return better([_Variant(method=method, corrections=each) for each in _COMBINATIONS])


def _quantised(model: onnx.ModelProto, variant: _Variant, work: _Workplace) -> _Quantised:
    calibration = work.data.calibration
    for correction in variant.corrections:
        model = _CORRECT[correction](model, calibration)
    path = work.folder / "float.onnx"
    save_model(model, path)
    ranges = activation_ranges(path, calibration, method=variant.method)
    encodings = {name: Encoding.of(*ends) for name, ends in ranges.items()}
    int8, judged = work.int8(model, encodings)
    return _Quantised(variant=variant, model=model, ranges=ranges, int8=int8, judged=judged)


def _deployed(
    student: FakeQuantStudent, start: _Quantised, work: _Workplace
) -> tuple[onnx.ModelProto, _Judged]:
    """Return the int8 model of a trained student, judged."""
    weights = {}
    layers = {layer.name: layer for layer in student.layers.layers}
    for name, (weight, bias) in student.folded_weights().items():
        weights[f"{name}.weight"] = in_file_order(layers[name], weight.detach().numpy())
        if bias.numel():
            weights[f"{name}.bias"] = bias.detach().numpy()
    encodings = {name: Encoding(*found) for name, found in student.encodings().items()}
    return work.int8(replace_weights(start.model, weights), encodings)


def _rounding(layers: Layers, start: _Quantised) -> FakeQuantStudent:
    return rounding_student(layers, start.model, start.ranges)
