"""A network with two heads goes the whole way: cost, ONNX, training, int8, C, TFLite, checks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest
import torch
from pydantic import TypeAdapter

from hwkd.core.errors import ConfigError
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.limits import Limits
from hwkd.core.memory_model import MemoryModel
from hwkd.core.student import Layers, SearchSpace, StudentSpec
from hwkd.core.student_record import StoredNetwork
from hwkd.cost.backend import CostQuestion
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.graph import build_graph
from hwkd.cost.memory import plan_memory
from hwkd.deploy.calibrate import activation_ranges
from hwkd.deploy.output_folder import write_folder
from hwkd.deploy.sessions import open_session, predict_all
from hwkd.deploy.tflite_check import check_tflite, installed, seeded_steps
from hwkd.deploy.to_c.export import build_project, project_contents
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.deploy.to_tflite import write_tflite
from hwkd.deploy.toolchain import find_host_compiler, host_compiler
from hwkd.deploy.verify_layers import LayerComparison
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import build_host, run_host
from hwkd.deploy.weight_correction import stored_weights
from hwkd.engine.setup.screening import Screen
from hwkd.io.device_catalog import load_device
from hwkd.nn.build import build_module
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.qgraph.read_qdq import read_qdq
from hwkd.trace.onnx_file import load_graph

needs_host_compiler = pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
needs_interpreters = pytest.mark.skipif(
    len(installed()) < 2 or host_compiler() is None, reason="needs the extra hwkd[tflite] and cc"
)


def two_heads() -> Layers:
    """A map of places, which the classifier behind it reads as well, and three classes."""
    b = LayersBuilder((2, 8, 8))
    stem = b.conv("input", "stem", 6, kernel=3, activation="relu")
    places = b.conv(stem, "places", 4, kernel=3, stride=2, norm=False)
    both = b.concat([b.max_pool(stem, "small", kernel=2), places], "both")
    b.classifier(b.conv(both, "mix", 5, activation="relu6"), 3)
    return b.build("logits", "places")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("heads")
    layers = two_heads()
    samples = np.random.default_rng(0).normal(size=(40, 2, 8, 8)).astype(np.float32)
    export_onnx(build_module(layers, seed=0).eval(), layers, folder / "float.onnx")
    quantise_int8(folder / "float.onnx", folder / "int8.onnx", samples)
    return folder / "float.onnx", folder / "int8.onnx", samples


def test_the_graph_is_that_of_the_file_and_both_outputs_live_to_the_end(files):
    graph = build_graph(two_heads())
    traced = load_graph(files[0])
    assert (traced.ops, traced.outputs) == (graph.ops, graph.outputs)
    assert graph.outputs == ("logits", "places")
    plan = plan_memory(graph, MemoryModel(alignment_bytes=1, planner="live_peak"), 1)
    # The map of 4 x 4 x 4 beside the vector before the classifier, and the 3 values behind it.
    assert plan.live_bytes["logits"] == 64 + 5 + 3
    one = build_graph(Layers(input_shape=(2, 8, 8), layers=two_heads().layers))
    assert plan_memory(one, MemoryModel(alignment_bytes=1), 1).live_bytes["logits"] == 5 + 3
    assert not estimate_cost(graph, load_device("cortex-m4")).unsupported_ops


def test_the_module_and_the_float_file_give_both(files):
    with torch.no_grad():
        logits, places = build_module(two_heads(), seed=0).eval()(torch.from_numpy(files[2]))
    found = predict_all(open_session(files[0]), files[2])
    assert [output.shape for output in found] == [(40, 3), (40, 4, 4, 4)]
    for ours, theirs in zip((logits, places), found, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


def test_simulated_rounding_gives_both_outputs_of_the_int8_file(files):
    floating, int8, samples = files
    arrays = stored_weights(onnx.load(floating))
    weights = {
        name: (torch.tensor(arrays[f"{name}.weight"]), torch.tensor(arrays[f"{name}.bias"]))
        for name in ("stem", "places", "mix", "logits")
    }
    simulated = FakeQuantStudent(two_heads(), weights, activation_ranges(floating, samples))
    with torch.no_grad():
        ours = simulated(torch.from_numpy(samples))
    for mine, theirs in zip(ours, predict_all(open_session(int8), samples), strict=True):
        assert (np.abs(mine.numpy() - theirs) < 1e-6).mean() >= 0.999


@needs_host_compiler
def test_the_c_gives_both_outputs_and_every_layer_as_onnx_runtime_does(files, tmp_path):
    _, int8, samples = files
    project = build_project(int8)
    assert list(project.outputs) == ["logits", "places"]
    programs = build_host(project, tmp_path, find_host_compiler())
    inputs = to_c_inputs(project, samples)
    ours = run_host(programs.plain, project, inputs).outputs
    assert ours.shape == (40, 3 + 64)
    assert np.array_equal(ours, reference_outputs(int8, project, samples))
    comparison = LayerComparison(int8, project)
    comparison.add(inputs, run_host(programs.traced, project, inputs).step_outputs)
    assert sum(step.differing for step in comparison.steps) == 0


@needs_host_compiler
def test_the_exported_folder_names_both_and_its_program_compares_both(files, tmp_path):
    folder = tmp_path / "c"
    write_folder(project_contents(build_project(files[1])), folder)
    header = (folder / "model.h").read_text()
    assert '#define MODEL_OUTPUT_1_NAME "places"' in header
    assert "#define MODEL_OUTPUT_1_BYTES 64 /* 4 x 4 x 4, channels-last */" in header
    facts = json.loads((folder / "model.json").read_text())
    assert [item["bytes"] for item in facts["outputs"].values()] == [3, 64]
    ran = subprocess.run(["make", "run"], cwd=folder, capture_output=True, text=True, check=True)
    assert "0 of 67 outputs differ" in ran.stdout


@needs_interpreters
def test_tflite_interpreters_give_both_outputs(files):
    graph, project = read_qdq(files[1]), build_project(files[1], rounding="tflite")
    found = check_tflite(write_tflite(graph), files[1], project, seeded_steps(project, 8))
    exact = [item for item in found.against_c if item.interpreter == "tflite-micro"]
    assert [(item.outputs, item.mismatches) for item in exact] == [(8 * 67, 0)]


def test_outputs_are_part_of_the_key_and_of_the_stored_network():
    layers = two_heads()
    alone = Layers(input_shape=layers.input_shape, layers=layers.layers)
    assert layers.key != alone.key
    named = Layers(input_shape=layers.input_shape, layers=layers.layers, outputs=("logits",))
    assert named.key == alone.key
    network = TypeAdapter(StoredNetwork)
    assert network.validate_json(network.dump_json(layers)) == layers


def test_outputs_that_are_no_layers_are_refused():
    builder = LayersBuilder((2, 8, 8))
    builder.classifier(builder.conv("input", "stem", 4), 3)
    for outputs in (("logits", "boxes"), ("logits", "logits")):
        with pytest.raises(ValueError, match="expected names of different layers"):
            builder.build(*outputs)


def test_a_search_space_of_several_outputs_is_refused_by_their_names():
    class Space:
        def layers(self, spec: StudentSpec) -> Layers:
            del spec
            return two_heads()

    screen = Screen(
        question=CostQuestion(device=load_device("cortex-m4")), limits=Limits(), risk="upper",
        spaces={"mine": cast(SearchSpace, Space())},
    )  # fmt: skip
    spec = StudentSpec(space="mine", params={}, input_shape=(2, 8, 8), num_outputs=3)
    with pytest.raises(ConfigError, match="outputs logits, places; a task reads one"):
        screen.candidate(spec)
