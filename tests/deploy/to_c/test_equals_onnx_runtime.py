"""The C, compiled for this computer, against ONNX Runtime: every tensor of every network."""

import shutil

import numpy as np
import pytest
from c_networks import MLPERF_TINY, quantise
from op_networks import OP_NETWORKS

from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.toolchain import find_host_compiler
from hwkd.deploy.verify_onnx import reference_outputs, reference_steps, to_c_inputs
from hwkd.deploy.verify_run import build_host, run_host

NETWORKS = OP_NETWORKS | MLPERF_TINY
TRACED = 8

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
    steps = run_host(programs.traced, project, inputs[:TRACED]).step_outputs
    expected_steps = reference_steps(model, project, samples[:TRACED])
    return outputs, reference_outputs(model, project, samples), steps, expected_steps


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_float_rounding_equals_onnx_runtime_on_every_tensor(name, tmp_path):
    outputs, expected, steps, expected_steps = run_both(name, tmp_path, rounding="float", count=32)
    for index, (ours, theirs) in enumerate(zip(steps, expected_steps, strict=True)):
        assert np.array_equal(ours, theirs), f"step {index}"
    assert np.array_equal(outputs, expected)


@pytest.mark.parametrize("name", ["depthwise_shapes", "squeeze_excite", "residual", "ds_cnn"])
def test_q31_rounding_differs_from_onnx_runtime_on_ties_only(name, tmp_path):
    outputs, expected, *_ = run_both(name, tmp_path, rounding="q31", count=32)
    difference = np.abs(outputs.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def test_samples_of_the_batch_do_not_leak_into_each_other(tmp_path):
    model = quantise(OP_NETWORKS["pooling"](), tmp_path, "pooling")
    project = build_project(model)
    shape = (4, *project.input.shape[1:])
    samples = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    inputs = to_c_inputs(project, samples)
    programs = build_host(project, tmp_path, find_host_compiler())
    forwards = run_host(programs.plain, project, inputs).outputs
    backwards = run_host(programs.plain, project, inputs[::-1]).outputs
    assert np.array_equal(forwards, backwards[::-1])
