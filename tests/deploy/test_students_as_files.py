"""Students with unusual layers are trained, quantised, exported and run like any other."""

import numpy as np
import pytest
import torch

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.seen_input import InputView, SeeingSpace
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.tflite_check import compare_with_c, installed, seeded_steps
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.deploy.to_tflite import write_tflite
from hwkd.deploy.toolchain import find_host_compiler, host_compiler
from hwkd.deploy.verify_layers import LayerComparison
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import build_host, run_host
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.qgraph.read_qdq import read_qdq

discover("hwkd.search_spaces")
SHAPE, SHAPES = (3, 24, 32), {"signal": (1, 49, 10)}
PLAIN = SEARCH_SPACES.get("plain")
SPACES = {
    **{
        view.label: SeeingSpace(ways={view: PLAIN})
        for view in (InputView(pool=2), InputView(is_grey=True), InputView(pool=2, is_grey=True))
    },
    "signal": SeeingSpace(ways={InputView(is_signal=True): PLAIN}),
    "shuffle": SEARCH_SPACES.get("shuffle"),
}


@pytest.fixture(params=SPACES)
def int8_model(request, tmp_path):
    space, shape = SPACES[request.param], SHAPES.get(request.param, SHAPE)
    spec = space.suggest(RandomChooser(3), input_shape=shape, num_outputs=4)
    layers = space.layers(spec)
    inputs = torch.randn(24, *shape, generator=torch.Generator().manual_seed(0))
    module = build_module(layers, seed=0)
    module(inputs).logsumexp(dim=1).sum().backward()
    assert all(weight.grad is not None for weight in module.parameters())
    module.eval()
    export_onnx(module, layers, tmp_path / "float.onnx")
    with torch.no_grad():
        expected = module(inputs).numpy()
    exported = predict(open_session(tmp_path / "float.onnx"), inputs.numpy())
    np.testing.assert_allclose(exported, expected, atol=1e-4)
    quantise_int8(tmp_path / "float.onnx", tmp_path / "int8.onnx", inputs.numpy())
    return tmp_path / "int8.onnx"


@pytest.mark.skipif(host_compiler() is None, reason="no C compiler on PATH")
def test_every_layer_of_the_c_is_that_of_the_int8_file(int8_model, tmp_path):
    project = build_project(int8_model, rounding="float")
    samples = (
        np.random.default_rng(1).normal(size=(16, *project.input.shape[1:])).astype(np.float32)
    )
    programs = build_host(project, tmp_path, find_host_compiler())
    inputs = to_c_inputs(project, samples)
    comparison = LayerComparison(int8_model, project)
    comparison.add(inputs, run_host(programs.traced, project, inputs).step_outputs)
    assert [step.fault("float") for step in comparison.steps] == [None] * len(comparison.steps)
    # Means of four integers often lie between two, and the two round such ties differently.
    found = run_host(programs.plain, project, inputs).outputs
    is_same = ~comparison.has_other_tie
    expected = reference_outputs(int8_model, project, samples)
    assert np.array_equal(found[is_same], expected[is_same])


@pytest.mark.skipif(
    "tflite-micro" not in installed() or host_compiler() is None,
    reason='no C compiler or interpreter; pip install "hwkd[tflite]"',
)
def test_tflite_micro_gives_the_answers_of_the_c(int8_model):
    project = build_project(int8_model, rounding="tflite")
    data = write_tflite(read_qdq(int8_model))
    found = compare_with_c(data, project, seeded_steps(project, 8))
    assert {item.interpreter: item.mismatches for item in found}["tflite-micro"] == 0
