"""What every search space must keep: simulated rounding gives the numbers of the int8 file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.student import Layers, StudentSpec
from hwkd.cost.graph import build_graph
from hwkd.deploy.calibrate import Encoding, activation_ranges
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_int8 import write_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.deploy.weight_correction import replace_weights, stored_weights
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.nn.fake_quant import FakeQuantStudent

discover("hwkd.search_spaces")

SHAPES = [(1, 8, 8), (3, 16, 16), (6, 50)]
ACTIVATIONS = ("relu", "relu6", "hard_swish")


@cache
def specs_of(space_name: str, input_shape: tuple[int, ...]) -> list[StudentSpec]:
    """A few samples of a space."""
    space = SEARCH_SPACES.get(space_name)
    return [
        space.suggest(RandomChooser(seed), input_shape=input_shape, num_outputs=7)
        for seed in range(40)
    ]


# Spaces with each activation that they offer: broadcast has no hard swish.
OFFERED = [
    (space_name, activation)
    for space_name in SEARCH_SPACES.names()
    for activation in ACTIVATIONS
    if any(spec.params.get("activation") == activation for spec in specs_of(space_name, SHAPES[0]))
]


def sample(space_name: str, input_shape: tuple[int, ...], activation: str) -> Layers:
    """The cheapest of a few samples with an activation."""
    space, specs = SEARCH_SPACES.get(space_name), specs_of(space_name, input_shape)
    chosen = [space.layers(spec) for spec in specs if spec.params.get("activation") == activation]
    return min(chosen, key=lambda layers: build_graph(layers).macs)


def moved_student(layers: Layers, float_path: Path, inputs: torch.Tensor) -> FakeQuantStudent:
    """A simulated student whose weights and ranges are as far from the start as training goes."""
    module = build_module(layers, seed=0)
    with torch.no_grad():
        for _ in range(5):
            module(inputs)
    export_onnx(module.eval(), layers, float_path)
    arrays = stored_weights(onnx.load(float_path))
    weights = {
        layer.name: tuple(
            torch.from_numpy(arrays[f"{layer.name}.{kind}"].copy()) for kind in ("weight", "bias")
        )
        for layer in layers.layers
        if LAYER_KINDS.get(layer.kind).has_weights
    }
    student = FakeQuantStudent(layers, weights, activation_ranges(float_path, inputs.numpy()))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return student.eval()


@pytest.mark.parametrize(("space_name", "activation"), OFFERED)
@pytest.mark.parametrize(
    "input_shape",
    [SHAPES[0], *(pytest.param(shape, marks=pytest.mark.slow) for shape in SHAPES[1:])],
    ids=str,
)
def test_simulated_rounding_gives_the_outputs_of_the_int8_file(
    space_name: str, activation: str, input_shape: tuple[int, ...], tmp_path: Path
) -> None:
    layers = sample(space_name, input_shape, activation)
    generator = torch.Generator().manual_seed(2)
    calibration, unseen = torch.randn(2, 160, *input_shape, generator=generator)
    student = moved_student(layers, tmp_path / "float.onnx", calibration)
    weights = {
        f"{name}.{kind}": tensor.detach().numpy()
        for name, pair in student.folded_weights().items()
        for kind, tensor in zip(("weight", "bias"), pair, strict=True)
    }
    model = replace_weights(onnx.load(tmp_path / "float.onnx"), weights)
    encodings = {name: Encoding(*found) for name, found in student.encodings().items()}
    write_int8(model, encodings, tmp_path / "int8.onnx")
    scale = encodings["logits"].scale
    with torch.no_grad():
        simulated = np.rint(student(unseen).numpy() / scale)
    computed = np.rint(predict(open_session(tmp_path / "int8.onnx"), unseen.numpy()) / scale)
    assert np.unique(computed).size > 20  # not one number repeated
    assert (simulated == computed).mean() >= 0.999
