"""`hwkd profile --device ethos-u55-128`: a compiler's estimate, under its own name."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.cli.app import main
from hwkd.core.errors import ConfigError
from hwkd.cost.backend import screening_backend
from hwkd.deploy.vela import VelaLayer, VelaReport
from hwkd.io.core_files import npu_names
from hwkd.io.device_catalog import device_names, load_device

DEVICES = [name for name in device_names() if load_device(name).costed_by == "compiled"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    net = NetworkBuilder((3, 8, 8))
    net.conv(8, (3, 3))
    net.depthwise((3, 3), stride=(2, 2))
    net.classifier(4)
    return quantise(net, tmp_path, "small")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["profile", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.count("\n") == 1
    return printed.err


def test_every_compiled_device_has_a_system_to_compile_for() -> None:
    assert {"ethos-u55-128", "ethos-u65"} <= set(DEVICES)
    assert {load_device(name).core_key for name in DEVICES} <= set(npu_names())


def test_without_vela_the_line_says_what_to_install(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwkd.deploy.vela.find_spec", lambda name: None)
    assert 'pip install "hwkd[ethos]"' in refused(capsys, model, "--device", "ethos-u55-128")


def test_a_float_model_is_told_to_be_quantised(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwkd.deploy.vela.require_vela", lambda: "5.2.0")
    floats = model.with_name("small.onnx")
    assert "quantise it first" in refused(capsys, floats, "--device", "ethos-u65")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--clock", "1GHz"), "leave it out"),
        (("--dtype", "float32"), "runs int8 only"),
        (("--runtime", "tflm-reference"), "those that have: vela"),
    ],
)
def test_options_that_a_compiler_does_not_take_are_one_line(
    option: tuple[str, str], message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, model, "--device", "ethos-u55-128", *option)


@pytest.mark.parametrize("name", DEVICES)
def test_no_search_can_screen_with_a_compiler(name: str) -> None:
    with pytest.raises(ConfigError, match=r"too slow to screen .* `hwkd profile --device"):
        screening_backend(load_device(name))


def test_what_runs_on_the_cpu_makes_a_lower_bound(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def layer(name: str, cycles: int | None) -> VelaLayer:
        return VelaLayer(name=name, kind="Conv2D", macs=10, cycles=cycles, sram_bytes=100)

    def report(*_: object) -> VelaReport:
        return VelaReport(
            version="5.2.0", clock_hz=500e6, cycles=1000, sram_bytes=128, flash_bytes=64,
            weight_bytes=32, layers=(layer("a", 1000), layer("b", None)),
        )  # fmt: skip

    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr("hwkd.deploy.vela.require_vela", lambda: "5.2.0")
    monkeypatch.setattr("hwkd.deploy.vela.run_vela", report)
    assert main(["profile", str(model), "--device", "ethos-u55-128"]) == 0
    text = capsys.readouterr().out
    assert "latency is a lower bound: vela has no cost for Conv2D x 1" in text
    assert "compiler estimate: vela 5.2.0" in text
    assert "90% interval" not in text
    assert main(["profile", str(model), "--device", "ethos-u55-128", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unsupported_ops"] == {"Conv2D": 1}
    assert [op["latency_s"] for op in found["per_op"]] == [pytest.approx(2e-6), None]


@pytest.mark.skipif(
    importlib.util.find_spec("ethosu") is None, reason='vela; pip install "hwkd[ethos]"'
)
@pytest.mark.parametrize("name", DEVICES)
def test_vela_costs_the_network_at_the_devices_clock(
    name: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", str(model), "--device", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    latency = found["latency"]
    assert latency["basis"].startswith("compiler estimate: vela ")
    assert 0 < latency["low_s"] == latency["value_s"] == latency["high_s"]
    assert found["clock_hz"] == load_device(name).clock_hz
    assert sum(op["latency_s"] for op in found["per_op"]) == pytest.approx(latency["value_s"])
    assert found["energy_j"] is None
    assert found["flash_bytes"] > 0
    assert found["peak_ram_bytes"] >= max(op["ram_bytes"] for op in found["per_op"])
