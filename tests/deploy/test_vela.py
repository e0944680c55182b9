"""Arm's vela: its report is read, what it leaves to the CPU is not free, it may be missing."""

import importlib.util

import pytest
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import quantise
from hwkd.core.errors import ConfigError, ProfilingError, UnknownNameError
from hwkd.deploy.to_tflite import write_tflite
from hwkd.deploy.vela import read_report, require_vela, run_vela
from hwkd.io.core_files import load_npu
from hwkd.qgraph.read_qdq import read_qdq

NPU = load_npu("ethos-u55-128")
SUMMARY = (
    "experiment,network,core_clock,sram_memory_used,off_chip_flash_memory_used,"
    "total_npu_encoded_weights,cycles_total\n"
    "default,model,500000000.0,2.5,1.0625,700,1500\n"
)
LAYERS = (
    "Original Operator,NNG Operator,Target,Staging Usage,Op Cycles,MAC Count,Name\n"
    "Conv2D,Conv2D,NPU,2048,1000,640,conv\n"
    "HardSwish,LUT,NPU,0,0,0,conv\n"
    "Conv2D,Conv2D,NPU,1024,200,64,conv2\n"
    "Mean,DepthwiseConv2D,NPU,512,150,16,mean_intermediate\n"
    "Mean,Mul,NPU,320,50,0,mean\n"
    "Mul,Passthrough,CPU,0,0,0,gate\n"
    "Transpose,Transpose,NPU,96,100,0,#12\n"
)
needs_vela = pytest.mark.skipif(
    importlib.util.find_spec("ethosu") is None, reason='vela; pip install "hwkd[ethos]"'
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / f"model_summary_{NPU.system}.csv").write_text(SUMMARY)
    (tmp_path / "model_per-layer.csv").write_text(LAYERS)
    return tmp_path


def test_a_report_is_read_in_bytes_and_cycles(folder):
    report = read_report(folder, NPU, "5.2.0", {"conv", "conv2", "mean", "gate"})
    assert (report.clock_hz, report.cycles) == (500e6, 1500)
    assert (report.sram_bytes, report.flash_bytes, report.weight_bytes) == (2560, 1088, 700)


def test_what_vela_splits_is_one_layer_and_the_cpus_has_no_cycles(folder):
    report = read_report(folder, NPU, "5.2.0", {"conv", "conv2", "mean", "gate"})
    assert [(layer.name, layer.kind, layer.cycles) for layer in report.layers] == [
        ("conv", "Conv2D+HardSwish", 1000), ("conv2", "Conv2D", 200), ("mean", "Mean", 200),
        ("gate", "Mul", None), ("#12", "Transpose", 100),
    ]  # fmt: skip
    assert [layer.sram_bytes for layer in report.layers] == [2048, 1024, 512, 0, 96]
    assert sum(layer.macs for layer in report.layers) == 720


@pytest.mark.parametrize(
    ("text", "reason"),
    [(SUMMARY.replace("cycles_total", "cycles"), "cycles_total"), (SUMMARY[:90], "unpack")],
)
def test_another_versions_report_is_one_line(folder, text, reason):
    (folder / f"model_summary_{NPU.system}.csv").write_text(text)
    with pytest.raises(ProfilingError, match=f"no report that hwkd can read.*{reason}"):
        read_report(folder, NPU, "9.9", set())


def test_without_vela_the_command_that_installs_it_is_given(monkeypatch):
    monkeypatch.setattr("hwkd.deploy.vela.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'run `pip install "hwkd\[ethos\]"`'):
        require_vela()


@pytest.mark.slow
@needs_vela
@pytest.mark.parametrize("name", sorted(OP_NETWORKS))
def test_vela_puts_every_operator_on_the_npu(name, tmp_path):
    graph = read_qdq(quantise(OP_NETWORKS[name](), tmp_path, name))
    report = run_vela(write_tflite(graph, runs=False), NPU, {op.name for op in graph.ops})
    cycles = [layer.cycles for layer in report.layers]
    assert None not in cycles
    assert sum(cycles) == pytest.approx(report.cycles)
    assert report.sram_bytes >= max(layer.sram_bytes for layer in report.layers)
    assert sum(layer.macs for layer in report.layers) >= graph.macs


@pytest.mark.slow
@needs_vela
def test_more_multipliers_take_fewer_cycles(tmp_path):
    graph = read_qdq(quantise(OP_NETWORKS["residual"](), tmp_path, "residual"))
    small, large = (
        run_vela(write_tflite(graph, runs=False), load_npu(core), ()).cycles
        for core in ("ethos-u55-128", "ethos-u55-256")
    )
    assert 0 < large < small


@needs_vela
def test_a_file_that_vela_cannot_read_is_one_line():
    with pytest.raises(ProfilingError, match="vela cannot compile the network: RuntimeError"):
        run_vela(b"no network", NPU, ())


def test_an_npu_without_a_file_is_refused():
    with pytest.raises(UnknownNameError, match="unknown NPU 'ethos-u99'; did you mean ethos-u"):
        load_npu("ethos-u99")
