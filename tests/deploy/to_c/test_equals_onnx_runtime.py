"""The C, compiled for this computer, against ONNX Runtime: every tensor of every network."""

import shutil

import numpy as np
import pytest
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import MLPERF_TINY, quantise
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.toolchain import find_host_compiler
from hwkd.deploy.verify_layers import LayerComparison
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import build_host, build_host_once, run_host

NETWORKS = OP_NETWORKS | MLPERF_TINY

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))),
    reason="no C compiler on PATH; apt-get install gcc",
)


def run_both(name, folder, *, rounding, count):
    model = quantise(NETWORKS[name](), folder, name)
    project = build_project(model, rounding=rounding)
    shape = (count, *project.input.shape[1:])
    samples = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    inputs = to_c_inputs(project, samples)
    programs = build_host(project, folder, find_host_compiler())
    outputs = run_host(programs.plain, project, inputs).outputs
    comparison = LayerComparison(model, project)
    comparison.add(inputs, run_host(programs.traced, project, inputs).step_outputs)
    return outputs, reference_outputs(model, project, samples), comparison


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_float_rounding_equals_onnx_runtime_on_every_tensor(name, tmp_path):
    outputs, expected, comparison = run_both(name, tmp_path, rounding="float", count=32)
    for index, step in enumerate(comparison.steps):
        assert step.differing == 0, f"step {index}"
        assert step.values > 0
    is_same = ~comparison.has_other_tie
    assert np.array_equal(outputs[is_same], expected[is_same])
    assert name == "pooling" or is_same.all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["depthwise_shapes", "squeeze_excite", "residual", "ds_cnn"])
def test_q31_rounding_differs_from_onnx_runtime_on_ties_only(name, tmp_path):
    outputs, expected, comparison = run_both(name, tmp_path, rounding="q31", count=32)
    difference = np.abs(outputs.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
    assert all(step.fault("q31") is None for step in comparison.steps)


@pytest.fixture
def pooling(tmp_path):
    """A small network as C, with four inputs."""
    project = build_project(quantise(OP_NETWORKS["pooling"](), tmp_path, "pooling"))
    shape = (4, *project.input.shape[1:])
    samples = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    return project, to_c_inputs(project, samples)


def test_samples_of_the_batch_do_not_leak_into_each_other(pooling, tmp_path):
    project, inputs = pooling
    program = build_host_once(project, tmp_path, find_host_compiler(), traces=False)
    forwards = run_host(program, project, inputs).outputs
    backwards = run_host(program, project, inputs[::-1]).outputs
    assert np.array_equal(forwards, backwards[::-1])


def test_a_program_that_records_steps_answers_as_the_one_that_ships(pooling, tmp_path):
    project, inputs = pooling
    found = []
    for traces in (False, True):
        folder = tmp_path / str(traces)
        folder.mkdir()
        program = build_host_once(project, folder, find_host_compiler(), traces=traces)
        found.append(run_host(program, project, inputs))
    plain, traced = found
    assert np.array_equal(plain.outputs, traced.outputs)
    assert [len(plain.step_outputs), len(traced.step_outputs)] == [0, len(project.steps)]
