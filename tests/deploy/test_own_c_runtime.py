"""hwkd's own C as a runtime: what its estimate says of a file is what its exporter plans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.api.profile_model import profile_model
from hwkd.backends.estimated import Estimated
from hwkd.cost.backend import CostQuestion, ModelFile
from hwkd.cost.estimate import estimate_cost
from hwkd.deploy.to_c.costs import cost_lines
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.flash import (
    constant_bytes,
    names_bytes,
    predict_flash_bytes,
    predict_ram_bytes,
)
from hwkd.io.core_files import load_core
from hwkd.io.device_catalog import load_device
from hwkd.io.run_files import read_run_record
from hwkd.trace.onnx_file import load_network


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = NetworkBuilder((3, 32, 32))
    net.conv(16, (3, 3), stride=(2, 2))
    for channels in (32, 48):
        net.depthwise()
        net.conv(channels)
    net.classifier(10)
    return quantise(net, tmp_path_factory.mktemp("c"), "network")


@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33"])
def test_a_file_takes_the_ram_that_the_exported_c_plans(name: str, model: Path) -> None:
    device = load_device(name)
    network = load_network(model, keep_types=True)
    question = CostQuestion(device=device, runtime="hwkd-c")
    file = ModelFile(path=model, graph=network.graph, dtype=network.dtype, costed_in="int8")
    found = Estimated().cost_file(file, question)
    cost = found.cost
    core = load_core(name)
    project = build_project(model, rounding=core.rounding, instruction_sets=(core.instruction_set,))
    assert cost.peak_ram_bytes == predict_ram_bytes(project, core)
    # Layers run in place, and no row needs more than the peak that they make up.
    assert [stage.op for stage in found.stages] == [step.name for step in project.steps]
    totals = {stage.op: stage.total_bytes for stage in found.stages}
    assert 0.9 * cost.peak_ram_bytes < max(totals.values()) <= cost.peak_ram_bytes
    runtime = found.stages[0].overhead_bytes
    running = [op for op in cost.per_op if op.fused_into is None]
    assert {op.name: op.ram_bytes + runtime for op in running} == totals
    assert cost.flash_bytes > constant_bytes(project)
    assert cost.latency is not None
    assert not cost.unsupported_ops


def test_a_candidate_takes_nearly_what_its_file_will(model: Path) -> None:
    device = load_device("cortex-m4")
    graph = load_network(model, keep_types=True).graph
    cost = estimate_cost(graph, device, runtime="hwkd-c")
    project = build_project(model)
    assert cost.peak_ram_bytes == pytest.approx(
        predict_ram_bytes(project, load_core("cortex-m4")), rel=0.1
    )


def test_a_float_product_with_a_gate_takes_nearly_what_its_int8_file_does(tmp_path: Path) -> None:
    net = NetworkBuilder((3, 32, 32))
    features = net.conv(16, (3, 3))
    net.global_average()
    net.conv(16)
    gate = net.activation("Sigmoid")
    net.mul(features, gate)
    net.classifier(10)
    onnx.save(net.model(), tmp_path / "float.onnx")
    device = load_device("cortex-m4")
    question = CostQuestion(device=device, runtime="hwkd-c")
    whole = profile_model(tmp_path / "float.onnx", question)
    planned = profile_model(quantise(net, tmp_path, "network"), question)
    assert whole.cost.peak_ram_bytes == pytest.approx(planned.cost.peak_ram_bytes, rel=0.1)
    assert any("profile its int8 file" in note for note in whole.notes)
    assert not any("profile its int8 file" in note for note in planned.notes)


def test_an_export_says_when_the_reports_estimates_are_its_own(model: Path) -> None:
    golden = Path(__file__).parents[1] / "golden" / "run_v2" / "run.json"
    run = read_run_record(golden)
    own = run.model_copy(update={"device": run.device.model_copy(update={"runtime": "hwkd-c"})})
    project = build_project(model)
    assert "not for this C" in "\n".join(cost_lines(project, run))
    assert "estimates for this C" in "\n".join(cost_lines(project, own))


def flash_of(net: NetworkBuilder, folder: Path) -> tuple[int, int]:
    """Return the flash of a network as a candidate, and of its int8 file."""
    onnx.save(net.model(), folder / "float.onnx")
    question = CostQuestion(device=load_device("cortex-m4"), runtime="hwkd-c")
    candidate = profile_model(folder / "float.onnx", question).cost
    file = profile_model(quantise(net, folder, "network"), question).cost
    return candidate.flash_bytes, file.flash_bytes


def test_a_candidate_with_tables_takes_nearly_the_flash_of_its_file(tmp_path: Path) -> None:
    """Of a network that gives its 256 inputs back, as those that find anomalies do."""
    net = NetworkBuilder((4, 8, 8))
    net.reshape(1, 256)
    for width in (16, 8, 16):
        net.linear(width)
        net.activation("HardSwish")
    net.linear(256)
    candidate, file = flash_of(net, tmp_path)
    assert candidate == pytest.approx(file, rel=0.03)


@pytest.mark.parametrize(("runtime", "counts"), [("hwkd-c", True), ("tflm-cmsis-nn", False)])
def test_names_that_the_c_holds_are_flash(runtime: str, counts: bool, model: Path) -> None:
    names = [f"word {number}" for number in range(10)]
    named = names_bytes(names)
    assert named == 10 * (4 + 8)  # a pointer, and seven bytes up to a multiple of four
    plain = CostQuestion(device=load_device("cortex-m4"), runtime=runtime)
    asked = replace(plain, names_bytes=named)
    network = load_network(model, keep_types=True)
    file = ModelFile(path=model, graph=network.graph, dtype="int8", costed_in="int8")
    costs = Estimated()
    more = named if counts else 0
    of_file = [costs.cost_file(file, question).cost.flash_bytes for question in (plain, asked)]
    of_graph = [costs.screen(network.graph, each).flash_bytes for each in (plain, asked)]
    assert of_file[1] - of_file[0] == of_graph[1] - of_graph[0] == more
    core = load_core("cortex-m4")
    bare, full = [
        predict_flash_bytes(build_project(model, rounding=core.rounding, labels=labels), core)
        for labels in ((), names)
    ]
    assert bare is not None
    assert full is not None
    assert full - bare == named


@pytest.mark.parametrize("kinds", [("conv",), ("conv", "pointwise"), ("pointwise", "depthwise")])
def test_a_candidate_takes_the_code_of_its_kinds_of_convolution(
    kinds: tuple[str, ...], tmp_path: Path
) -> None:
    net = NetworkBuilder((8, 16, 16))
    for kind in kinds:
        if kind == "depthwise":
            net.depthwise()
        else:
            net.conv(24, (3, 3) if kind == "conv" else (1, 1))
    net.classifier(5)
    candidate, file = flash_of(net, tmp_path)
    assert candidate == pytest.approx(file, rel=0.03)
