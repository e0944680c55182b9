"""A float student as one with simulated 8-bit rounding, calibrated on what it is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from torch import Tensor

from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.student import Layers
from hwkd.deploy.calibrate import Range, activation_ranges
from hwkd.deploy.to_onnx import export_onnx, in_file_order
from hwkd.deploy.weight_correction import stored_weights
from hwkd.nn.build import StudentModule
from hwkd.nn.fake_quant import FakeQuantStudent

# Parameters are relative to their start (see `FakeQuantStudent`), so this is about 0.2% a step.
ROUNDING_RATE = 0.002
_CALIBRATION_SAMPLES = 256


def rounding_student(
    layers: Layers, model: onnx.ModelProto, ranges: Mapping[str, Range]
) -> FakeQuantStudent:
    """Return the student of a float file with simulated rounding.

    Args:
        model: as `hwkd.deploy.to_onnx` wrote it.
        ranges: of its activations.
    """
    arrays = {name: torch.from_numpy(a.copy()) for name, a in stored_weights(model).items()}
    weights = {
        layer.name: (
            in_file_order(layer, arrays[f"{layer.name}.weight"]),
            arrays.get(f"{layer.name}.bias", torch.empty(0)),
        )
        for layer in layers.layers
        if LAYER_KINDS.get(layer.kind).has_weights
    }
    return FakeQuantStudent(layers, weights, ranges)


def rounded(module: StudentModule, inputs: Tensor) -> FakeQuantStudent:
    """Return a trained student with simulated rounding.

    Args:
        module: on the processor, in evaluation mode.
        inputs: that it learned from, of which some set the ranges.
    """
    samples = inputs[:_CALIBRATION_SAMPLES].cpu().numpy()
    with TemporaryDirectory(prefix="hwkd-rounding-") as folder:
        path = Path(folder) / "float.onnx"
        export_onnx(module, module.layers, path)
        return rounding_student(module.layers, onnx.load(path), activation_ranges(path, samples))
