"""Trains a network that an engineer would write, with our recipe, to stand beside a search."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from hwkd.core.student import Layers
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.arms.evaluation import student_logits
from hwkd.engine.setup.calibration import calibration_inputs
from hwkd.nn.build import build_module
from hwkd.tasks.base import TaskData
from hwkd.train.batches import TensorBatches
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import train_module
from hwkd.train.pace import measure_pace
from hwkd.train.recipe import choose_recipe

_MOST_EPOCHS = 400


@dataclass(frozen=True)
class MadeByHand:
    """A trained network and its int8 file's score on the test split.

    Attributes:
        parameters: weights and biases.
        epochs: passes over the train split.
        seconds: that the training was given, on one core.
        test_int8: 1 minus the mean error of the head, 0 to 1.
    """

    parameters: int
    epochs: float
    seconds: float
    test_int8: float

    def __str__(self) -> str:
        """Return the line that is printed."""
        return (
            f"{self.parameters:,} parameters, {self.epochs:.0f} epochs in {self.seconds:.0f} s "
            f"on one core, int8 test {self.test_int8:.4f}"
        )


def train_by_hand(layers: Layers, data: TaskData, *, seconds: float, seed: int = 0) -> MadeByHand:
    """Train on labels alone for so long on one core, quantise by min and max, read the test split.

    Args:
        layers: the network.
        data: its train split is learned, inputs from it calibrate, its test split is read once.
        seconds: of training.
        seed: of weights and batches.
    """
    torch.set_num_threads(1)
    inputs, labels = torch.tensor(data.train.inputs), torch.tensor(data.train.labels)
    module = build_module(layers, seed=seed)
    samples = _MOST_EPOCHS * len(labels)
    recipe = choose_recipe(data.train, samples=samples)
    pace = measure_pace(module, inputs, labels, data.head, recipe.config(epochs=1, seed=seed))
    samples = min(samples, pace.samples_in(seconds))
    recipe = choose_recipe(data.train, samples=samples, precision=pace.precision)
    training = recipe.config(epochs=_MOST_EPOCHS, seed=seed, time_budget_s=seconds)
    loss = TaskLoss(data.head, label_smoothing=recipe.label_smoothing)
    result = train_module(module, TensorBatches([inputs], labels), loss, training)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        export_onnx(module, layers, place / "float.onnx")
        calibration = calibration_inputs(data, seed)
        quantise_int8(place / "float.onnx", place / "int8.onnx", calibration, method="minmax")
        outputs = student_logits(place / "int8.onnx", data.test.inputs)
    error = float(data.head.errors(outputs, data.test.labels).mean())
    parameters = sum(weight.numel() for weight in module.parameters())
    return MadeByHand(parameters, result.epochs_made, seconds, 1 - error)
