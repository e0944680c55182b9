"""A float file is compared with the network that was trained before it is scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hwkd.core.errors import ExportError
from hwkd.core.layers_builder import LayersBuilder
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.arms.evaluation import require_same_outputs
from hwkd.nn.build import build_module


def test_a_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    builder = LayersBuilder((1, 6, 6))
    here = builder.conv(builder.image, "stem", 4, kernel=3, activation="relu")
    builder.classifier(here, 3)
    layers = builder.build()
    module = build_module(layers, seed=0).eval()
    export_onnx(module, layers, tmp_path / "student.onnx")
    inputs = np.random.default_rng(0).normal(size=(4, 1, 6, 6)).astype(np.float32)
    require_same_outputs(module, tmp_path / "student.onnx", inputs)
    with torch.no_grad():
        next(module.parameters()).mul_(1.5)
    with pytest.raises(ExportError, match="differs from the trained network by"):
        require_same_outputs(module, tmp_path / "student.onnx", inputs)
