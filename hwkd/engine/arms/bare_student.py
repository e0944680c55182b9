"""A byte check of exported files: the weights of the student, and nothing of its training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from safetensors.numpy import load_file

from hwkd.core.errors import ExportError
from hwkd.core.student import Layers
from hwkd.deploy.weight_correction import stored_weights
from hwkd.nn.build import StudentModule

__all__ = ["require_bare"]

_FLOAT_BYTES = 4


def require_bare(layers: Layers, onnx_path: Path, weights_path: Path) -> None:
    """Check that adapters and memories of a training stayed out of the files.

    Args:
        layers: description of the student.
        onnx_path: its float model.
        weights_path: its safetensors file.

    Raises:
        ExportError: names the file, its bytes of weights, those of the description and the tensors.
    """
    with torch.device("meta"):
        described = StudentModule(layers).state_dict()
    sizes = {name: tensor.nbytes for name, tensor in described.items()}
    found = {name: array.nbytes for name, array in load_file(weights_path).items()}
    _require_equal(weights_path, found, sizes)
    folded = {}
    for layer in layers.layers:
        weight = described.get(f"steps.{layer.name}.core.weight")
        if weight is not None:
            folded[f"{layer.name}.weight"] = weight.nbytes
            folded[f"{layer.name}.bias"] = layer.shape[0] * _FLOAT_BYTES
    # The ends of a clip are constants and no weights.
    arrays = stored_weights(onnx.load(onnx_path)).items()
    _require_equal(onnx_path, {name: a.nbytes for name, a in arrays if a.size > 1}, folded)


def _require_equal(path: Path, found: Mapping[str, int], described: Mapping[str, int]) -> None:
    if found == described:
        return
    names = sorted(n for n in {**found, **described} if found.get(n) != described.get(n))
    raise ExportError(
        f"{path.name}: holds {sum(found.values())} bytes of weights, the student has "
        f"{sum(described.values())} ({', '.join(names[:3])}); nothing was written"
    )
