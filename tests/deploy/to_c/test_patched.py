"""First layers in patches: the same numbers, less RAM, and one line where it does not divide."""

import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.backends.estimated import Estimated
from hwkd.cli.app import main
from hwkd.core.errors import ConfigError, ExportError
from hwkd.core.patches import Patches, Window, parts, spans
from hwkd.cost.backend import CostQuestion, ModelFile
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.flash import constant_bytes, predict_ram_bytes
from hwkd.deploy.toolchain import find_host_compiler
from hwkd.deploy.verify_layers import LayerComparison
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import build_host, run_host
from hwkd.io.core_files import load_core
from hwkd.io.device_catalog import load_device
from hwkd.trace.onnx_file import load_network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    net = NetworkBuilder((1, 24, 24))
    net.conv(16, (3, 3))
    net.depthwise()
    net.conv(12, (3, 3), stride=(2, 2))
    net.conv(8)
    net.classifier(5)
    return quantise(net, tmp_path_factory.mktemp("patched"), "network")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler on PATH")
@pytest.mark.parametrize("text", ["2x2", "1x3"])
def test_patches_give_the_numbers_of_the_whole_in_less_ram(text, model, tmp_path):
    whole, project = build_project(model), build_project(model, patches=Patches.parse(text))
    assert project.memory.arena_bytes < 0.8 * whole.memory.arena_bytes
    assert whole.arranged.graph.macs < project.arranged.graph.macs
    # Weights are kept once, whatever the number of patches.
    assert constant_bytes(project) < constant_bytes(whole) + 150 * len(project.steps)
    samples = np.random.default_rng(3).normal(size=(8, 1, 24, 24)).astype(np.float32)
    inputs = to_c_inputs(project, samples)
    programs = build_host(project, tmp_path, find_host_compiler())
    outputs = run_host(programs.plain, project, inputs).outputs
    assert np.array_equal(outputs, reference_outputs(model, project, samples))
    comparison = LayerComparison(model, project)
    comparison.add(inputs, run_host(programs.traced, project, inputs).step_outputs)
    assert sum(step.differing for step in comparison.steps) == 0
    assert sum(step.values > 0 for step in comparison.steps) >= 3


def test_a_division_that_leaves_a_rest_is_refused_in_one_line(model):
    with pytest.raises(ExportError, match=r"--patch 5x1: divides none of .*24x24, 12x12"):
        build_project(model, patches=Patches.parse("5x1"))


@pytest.mark.parametrize("text", ["2", "0x2", "2x2x2", "1x1", "-1x2", ""])
def test_what_is_no_division_is_refused(text):
    with pytest.raises(ConfigError, match="such as 2x2"):
        Patches.parse(text)


def test_a_part_reads_its_halo_and_pads_at_the_border_alone():
    windows = [Window(size=16, kernel=3, stride=2, pad=1), Window(size=8, kernel=3, pad=1)]
    first, last = (parts(windows, span) for span in spans(8, 2))
    assert [part.span for part in first] == [(0, 10), (0, 5)]
    assert [(part.pad_before, part.pad_after) for part in first] == [(1, 0), (1, 0)]
    assert [part.span for part in last] == [(5, 16), (3, 8)]
    assert [(part.pad_before, part.pad_after) for part in last] == [(0, 0), (0, 1)]


def test_patches_are_priced_as_the_c_runs_them(model):
    patches = Patches.parse("2x2")
    network = load_network(model, keep_types=True)
    file = ModelFile(path=model, graph=network.graph, dtype=network.dtype, costed_in="int8")
    asked = CostQuestion(device=load_device("cortex-m4"), runtime="hwkd-c")
    before = Estimated().cost_file(file, asked)
    whole, instructions = before.cost, before.instructions
    found = Estimated().cost_file(file, replace(asked, patches=patches))
    project = build_project(model, patches=patches, instruction_sets=("dsp",))
    assert found.cost.macs == project.arranged.graph.macs > whole.macs
    assert found.cost.weight_bytes == whole.weight_bytes
    assert found.cost.params == whole.params
    assert found.cost.peak_ram_bytes == predict_ram_bytes(project, load_core("cortex-m4"))
    assert found.cost.peak_ram_bytes < whole.peak_ram_bytes
    assert max(stage.total_bytes for stage in found.stages) <= found.cost.peak_ram_bytes
    assert instructions is not None
    assert found.instructions is not None
    assert found.instructions > instructions
    assert 1 < found.cost.latency.value_s / whole.latency.value_s < 1.5


def test_a_file_whose_nodes_have_no_names_is_priced_alike(model, tmp_path):
    unnamed = onnx.load(model)
    for node in unnamed.graph.node:
        node.name = ""
    onnx.save(unnamed, tmp_path / "unnamed.onnx")
    found = []
    for path in (model, tmp_path / "unnamed.onnx"):
        network = load_network(path, keep_types=True)
        file = ModelFile(path=path, graph=network.graph, dtype=network.dtype, costed_in="int8")
        asked = CostQuestion(
            device=load_device("cortex-m4"), runtime="hwkd-c", patches=Patches.parse("2x2")
        )
        found.append(Estimated().cost_file(file, asked))
    named, nameless = found
    assert nameless.cost.latency.value_s == named.cost.latency.value_s
    assert nameless.cost.macs == named.cost.macs
    assert {op.name for op in nameless.cost.per_op if op.macs} <= {s.op for s in nameless.stages}


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m55"])
def test_a_profile_plans_the_arena_for_its_core_as_a_check_does(model, core):
    facts = load_core(core)
    network = load_network(model, keep_types=True)
    file = ModelFile(path=model, graph=network.graph, dtype=network.dtype, costed_in="int8")
    asked = CostQuestion(device=load_device(core), runtime="hwkd-c")
    checked = build_project(
        model, rounding=facts.rounding, instruction_sets=(facts.instruction_set,)
    )
    found = Estimated().cost_file(file, asked).cost
    assert found.peak_ram_bytes == predict_ram_bytes(checked, facts)


def test_patches_are_an_option_of_whatever_takes_them(model, capsys):
    told = ["profile", str(model), "--device", "cortex-m4", "--patch", "2x2"]
    assert main([*told, "--runtime", "hwkd-c"]) == 0
    assert main(told) == 2
    assert "--patch 2x2: tflm-cmsis-nn runs layers as a whole" in capsys.readouterr().err
    assert main(["export", str(model), "--target", "tflite", "--out", "x", "--patch", "2x2"]) == 2
    assert "--patch 2x2: does nothing for --target tflite" in capsys.readouterr().err
