"""Activations behind layers that only move values, as a user's own search space may have them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwkd.core.student import Activation, Layer, Layers
from hwkd.deploy.calibrate import activation_ranges
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.deploy.toolchain import find_host_compiler, host_compiler
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import build_host_once, run_host
from hwkd.deploy.weight_correction import stored_weights
from hwkd.nn.build import build_module
from hwkd.nn.fake_quant import FakeQuantStudent

MOVES: dict[str, Layer] = {
    "max_pool": Layer(
        name="move", kind="max_pool", inputs=("stem",), shape=(4, 4, 4), kernel=(2, 2),
        stride=(2, 2),
    ),
    "reshape": Layer(name="move", kind="reshape", inputs=("stem",), shape=(8, 8, 4)),
    "transpose": Layer(
        name="move", kind="transpose", inputs=("stem",), shape=(8, 4, 8), permutation=(1, 0, 2)
    ),
}  # fmt: skip
each_case = pytest.mark.parametrize(
    ("kind", "activation"),
    [
        *(("max_pool", name) for name in ("relu", "relu6", "hard_swish", "hard_sigmoid")),
        ("reshape", "relu"), ("reshape", "hard_swish"), ("transpose", "relu6"),
    ],
)  # fmt: skip


def network(kind: str, activation: Activation) -> Layers:
    move = replace(MOVES[kind], activation=activation)
    return Layers(
        input_shape=(2, 8, 8),
        layers=(
            Layer(
                name="stem", kind="conv", inputs=("input",), shape=(4, 8, 8), kernel=(3, 3),
                pads=(1, 1, 1, 1),
            ),
            move,
            Layer(name="mix", kind="conv", inputs=("move",), shape=(5, *move.shape[1:])),
            Layer(name="pool", kind="global_avg_pool", inputs=("mix",), shape=(5, 1, 1)),
            Layer(name="flat", kind="reshape", inputs=("pool",), shape=(5,)),
            Layer(name="logits", kind="linear", inputs=("flat",), shape=(3,)),
        ),
    )  # fmt: skip


@pytest.mark.slow
@each_case
def test_simulation_c_and_int8_file_are_one_network_near_float(kind, activation, tmp_path: Path):
    layers = network(kind, activation)
    module = build_module(layers, seed=0).eval()
    samples = np.random.default_rng(0).normal(size=(48, *layers.input_shape)).astype(np.float32)
    floating, int8 = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    export_onnx(module, layers, floating)
    quantise_int8(floating, int8, samples)
    expected, found = (predict(open_session(path), samples) for path in (floating, int8))
    assert np.abs(expected - found).max() < 0.04 * np.ptp(expected)

    arrays = stored_weights(onnx.load(floating))
    weights = {
        name: (torch.tensor(arrays[f"{name}.weight"]), torch.tensor(arrays[f"{name}.bias"]))
        for name in ("stem", "mix", "logits")
    }
    simulated = FakeQuantStudent(layers, weights, activation_ranges(floating, samples))
    np.testing.assert_allclose(
        simulated(torch.from_numpy(samples)).detach().numpy(), found, atol=1e-6
    )
    if host_compiler() is not None:
        project = build_project(int8)
        program = build_host_once(project, tmp_path, find_host_compiler(), traces=False)
        ours = run_host(program, project, to_c_inputs(project, samples)).outputs
        assert np.array_equal(ours, reference_outputs(int8, project, samples))
