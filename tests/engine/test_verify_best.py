"""What `hwkd search --verify` asks before it spends anything, and what it records afterwards."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from hwkd.cli.app import main
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ConfigError, ExportError
from hwkd.core.progress import silent
from hwkd.deploy import toolchain
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.deploy.verify_target import target_of
from hwkd.engine.search.verify_best import require_verifiable, verify_best
from hwkd.io.device_catalog import load_device
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.tasks import classification
from hwkd.tasks.base import Split
from hwkd.tasks.classes_head import ClassesHead

TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm", "cc")
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"no emulator; {toolchain.INSTALL_COMMAND}"
)


@pytest.mark.parametrize("device", ["host", "raspberry-pi-4", "esp32-s3"])
def test_a_device_without_an_emulated_core_is_refused(device):
    with pytest.raises(ConfigError, match=rf"--verify: {device} has the core .*cortex-m0plus"):
        require_verifiable(load_device(device))


def test_missing_tools_stop_a_search_before_data_is_read(monkeypatch, capsys, tmp_path):
    def read(*arguments, **options):
        raise AssertionError("data must not be read")

    monkeypatch.setattr(classification, "read_digits", read)
    monkeypatch.setattr("shutil.which", lambda name: None)
    out = tmp_path / "run"
    assert main(["search", "--device", "cortex-m7", "--verify", "--out", str(out)]) == 2
    line = capsys.readouterr().err
    assert "not found on PATH; run `apt-get install" in line
    assert not out.exists()
    with pytest.raises(ExportError, match="arm-none-eabi-gcc"):
        require_verifiable(load_device("cortex-m7"))


def test_verifying_needs_the_final_training(capsys, tmp_path):
    given = ["search", "--device", "cortex-m7", "--verify", "--no-final"]
    assert main([*given, "--out", str(tmp_path / "run")]) == 2
    assert "--verify: checks the best student after full training" in capsys.readouterr().err


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("best")
    discover("hwkd.search_spaces")
    space = SEARCH_SPACES.get("depthwise")
    specs = [
        space.suggest(RandomChooser(seed), input_shape=(1, 8, 8), num_outputs=3)
        for seed in range(6)
    ]
    layers = min((space.layers(spec) for spec in specs), key=lambda item: len(item.layers))
    export_onnx(build_module(layers, seed=0).eval(), layers, folder / "student.onnx")
    inputs = np.random.default_rng(0).normal(size=(20, 1, 8, 8)).astype(np.float32)
    quantise_int8(folder / "student.onnx", folder / "student_int8.onnx", inputs)
    labels = np.zeros(20, np.int64)
    test = Split(inputs=inputs, labels=labels)
    head = ClassesHead.numbered(3)
    return folder, SimpleNamespace(test=test, head=head, raw_test=None)


@pytest.mark.slow
@needs_tools
def test_the_best_student_runs_on_the_devices_core(student):
    folder, data = student
    device = load_device("cortex-m4")
    found = verify_best(folder, target_of(device), data, silent)
    assert found.passed
    assert found.failure is None
    assert found.core == "cortex-m4"
    assert found.emulation is not None
    assert found.emulation.scores is not None
    assert found.emulation.inputs == 20
    assert found.emulation.mismatches.host_c == found.emulation.mismatches.onnxruntime == 0
    assert 0 <= found.emulation.scores["accuracy"] <= 1
    assert found.emulation.instructions_per_inference > 1000
    used = found.emulation.ram_bytes + found.emulation.stack_bytes
    assert found.emulation.ram_predicted_bytes is not None
    assert 0.97 * used <= found.emulation.ram_predicted_bytes
    written = json.loads((folder / "verification.json").read_text())
    assert written["instructions_per_inference"] == found.emulation.instructions_per_inference


@needs_tools
def test_what_goes_wrong_is_recorded_and_the_search_keeps_its_results(student):
    folder, data = student
    device = load_device("cortex-m4")
    small = device.model_copy(update={"reserved_ram_bytes": int(device.sram_bytes or 0) - 64})
    found = verify_best(folder, target_of(small), data, silent)
    assert not found.passed
    assert found.emulation is None
    assert "bytes of RAM" in str(found.failure)
    assert onnx.load(folder / "student_int8.onnx").graph.node
