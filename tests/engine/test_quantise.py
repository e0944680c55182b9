"""Which int8 form ships: chosen on validation, trained only when it is worth it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.heads import LabelsAlone, accuracy

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layers
from hwkd.core.teaching import TeacherSource, TrainingSet
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_onnx import onnx_model, save_model
from hwkd.deploy.weight_correction import replace_weights, stored_weights
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.int8_methods import int8_recipe
from hwkd.distill.taps import student_places
from hwkd.engine.arms.quantise import QuantisationData, QuantisationSettings, quantise_student
from hwkd.io.discovery import output_kind
from hwkd.nn.build import build_module
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.batches import TensorBatches
from hwkd.train.loop import TrainConfig, train_module

CLASSES = 6
SETTINGS = QuantisationSettings(full_epochs=30, batch_size=32)


def students_layers() -> Layers:
    builder = LayersBuilder((1, 6, 6))
    x = builder.conv("input", "stem", 8, kernel=3, activation="hard_swish")
    x = builder.conv(x, "mix", 8, kernel=3, activation="hard_swish")
    builder.classifier(x, CLASSES)
    return builder.build()


def made_split(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise with one bright row per class."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    inputs = generator.normal(size=(count, 1, 6, 6)).astype(np.float32)
    inputs[np.arange(count), 0, labels] += 3.0
    return inputs, labels


def follow_itself(student: FakeQuantStudent, own: TeacherSource) -> DistillCriterion:
    inputs, labels = made_split(480, seed=0)
    recipe = int8_recipe((), output_kind("classes"))
    assert recipe.follows_itself
    return DistillCriterion(
        recipe.methods,
        student=student,
        student_places=student_places(student.layers),
        source=own,
        data=TrainingSet(
            copies=[torch.from_numpy(inputs)],
            labels=torch.from_numpy(labels),
            head=ClassesHead.numbered(CLASSES),
            batch_size=SETTINGS.batch_size,
        ),
    )


@pytest.fixture(scope="module")
def data() -> QuantisationData:
    inputs, labels = made_split(480, seed=0)
    validation_inputs, validation_labels = made_split(300, seed=1)
    return QuantisationData(
        calibration=inputs[:64],
        batches=TensorBatches([torch.from_numpy(inputs)], torch.from_numpy(labels)),
        criterion=follow_itself,
        validation_inputs=validation_inputs,
        validation_labels=validation_labels,
        head=ClassesHead.numbered(CLASSES),
    )


@pytest.fixture(scope="module")
def even_model(data: QuantisationData) -> onnx.ModelProto:
    module = build_module(students_layers(), seed=0)
    train_module(
        module,
        data.batches,
        LabelsAlone(),
        TrainConfig(epochs=6, batch_size=32),
    )
    return onnx_model(module, students_layers())


def broken(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a channel that nobody reads and that takes the whole range of its tensor."""
    arrays = stored_weights(model)
    stem, reader = arrays["stem.weight"].copy(), arrays["mix.weight"].copy()
    bias = arrays["stem.bias"].copy()
    stem[0] *= 200.0
    bias[0] *= 200.0
    reader[:, 0] = 0.0
    return replace_weights(model, {"stem.weight": stem, "stem.bias": bias, "mix.weight": reader})


def quantise(model: onnx.ModelProto, data: QuantisationData, folder: Path, **changes: str):
    save_model(model, folder / "float.onnx")
    settings = replace(SETTINGS, **changes)
    int8_path = folder / "int8.onnx"
    choice = quantise_student(folder / "float.onnx", int8_path, students_layers(), data, settings)
    logits = predict(open_session(int8_path), data.validation_inputs)
    return choice, accuracy(logits, data.validation_labels)


def test_a_student_that_loses_nothing_is_not_trained_again(even_model, data, tmp_path) -> None:
    choice, shipped = quantise(even_model, data, tmp_path, qat="auto")
    assert choice.validation_float > 0.8
    assert choice.validation_float - choice.validation_ptq <= 0.005
    assert (choice.ships, choice.validation_qat, choice.qat_epochs) == ("ptq", None, None)
    assert shipped == pytest.approx(choice.validation_ptq)


@pytest.mark.slow
def test_training_rescues_a_student_that_8_bits_break(even_model, data, tmp_path) -> None:
    choice, shipped = quantise(broken(even_model), data, tmp_path, qat="auto", calibration="minmax")
    assert choice.validation_float - choice.validation_ptq > 0.02
    assert choice.validation_qat is not None
    assert choice.validation_float - choice.validation_qat <= 0.01
    assert choice.ships == "qat"
    assert shipped == pytest.approx(choice.validation_qat)


def test_off_never_trains(even_model, data, tmp_path) -> None:
    choice, shipped = quantise(broken(even_model), data, tmp_path, qat="off", calibration="minmax")
    assert choice.validation_qat is None
    assert shipped == pytest.approx(choice.validation_ptq)


@pytest.mark.slow
def test_on_always_trains_and_ships_only_what_is_better(even_model, data, tmp_path) -> None:
    choice, shipped = quantise(even_model, data, tmp_path, qat="on")
    assert choice.qat_epochs == 6
    assert shipped == pytest.approx(max(choice.validation_ptq, choice.validation_qat))


def test_the_best_calibration_is_at_least_as_good_as_a_given_one(
    even_model, data, tmp_path
) -> None:
    best, _ = quantise(broken(even_model), data, tmp_path, qat="off", calibration="auto")
    given, _ = quantise(broken(even_model), data, tmp_path, qat="off", calibration="minmax")
    assert given.calibration == "minmax"
    assert best.validation_ptq >= given.validation_ptq
