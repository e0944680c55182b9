"""The check on emulated cores: real compiler, real emulator, small networks."""

import json
import shutil

import numpy as np
import pytest
from support.op_networks import OP_NETWORKS
from typer.testing import CliRunner

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.cli.app import app
from hwkd.core.errors import DoesNotFitError, ExportError, UnknownNameError
from hwkd.core.verification import Target
from hwkd.deploy import toolchain
from hwkd.deploy.sessions import open_session, predict, predict_all
from hwkd.deploy.to_c.export import build_project, placed_outputs
from hwkd.deploy.toolchain import INSTALL_COMMAND, find_tools
from hwkd.deploy.verify import seeded_samples, verify_model
from hwkd.deploy.verify_exits import answers
from hwkd.deploy.verify_run import build_firmware
from hwkd.deploy.verify_target import target_of
from hwkd.io.core_files import core_names, load_core
from hwkd.io.device_catalog import load_device

TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm", "cc")
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"no emulator or compiler; {INSTALL_COMMAND}"
)


def target(core, *, flash_bytes=512 * 1024, ram_bytes=128 * 1024):
    return Target(name=core, core=load_core(core), flash_bytes=flash_bytes, ram_bytes=ram_bytes)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    names = ("squeeze_excite", "linear_attention", "depthwise_shapes", "almost_constant")
    return {name: quantise(OP_NETWORKS[name](), folder, name) for name in names}


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize(
    ("core", "name"),
    [
        *((core, "squeeze_excite") for core in core_names()),
        ("cortex-m0plus", "depthwise_shapes"),
        ("cortex-m4", "depthwise_shapes"),
        ("cortex-m4", "almost_constant"),
        ("cortex-m55", "almost_constant"),
    ],
)
def test_every_core_equals_the_host_and_onnx_runtime(core, name, models):
    model = models[name]
    found = verify_model(model, target(core), seeded_samples(model, 12))
    assert found.passed
    assert found.mismatches.host_c == 0
    assert found.host_tensors_equal
    if found.rounding == "float":
        assert found.mismatches.onnxruntime == found.intermediate_max_lsb == 0
    total = sum(layer.instructions for layer in found.instructions_per_layer)
    # Handing a step's arguments to the recording hook is counted with the step.
    layers = len(found.instructions_per_layer)
    assert abs(found.instructions_per_inference - total) < 15 * layers
    assert found.arena_bytes == found.arena_predicted_bytes
    assert found.arena_bytes <= found.ram_bytes
    assert found.flash_predicted_bytes == pytest.approx(found.flash_bytes, rel=0.03)
    assert 64 <= found.stack_bytes < 2048


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize("rounding", ["float", "q31", "tflite"])
def test_attention_equals_the_host_in_every_rounding(rounding, models):
    model = models["linear_attention"]
    samples = seeded_samples(model, 8)
    found = verify_model(model, target("cortex-m4"), samples, rounding=rounding)
    assert found.mismatches.host_c == 0
    assert found.host_tensors_equal
    assert found.max_lsb <= (2 if rounding == "tflite" else 1)


@pytest.mark.slow
@needs_tools
def test_counts_repeat_exactly_and_accuracy_is_that_of_the_core(models):
    def share_positive(outputs):
        return {"positive": float((outputs > 0).mean())}

    model = models["squeeze_excite"]
    samples = seeded_samples(model, 10)
    one = verify_model(model, target("cortex-m7"), samples, score=share_positive)
    two = verify_model(model, target("cortex-m7"), samples[:5], score=share_positive)
    counts = [
        [layer.instructions for layer in found.instructions_per_layer] for found in (one, two)
    ]
    assert counts[0] == counts[1]
    outputs = predict(open_session(model), samples)
    assert one.scores == share_positive(outputs)


@needs_tools
def test_a_network_larger_than_the_device_is_refused_with_the_excess(models):
    model = models["squeeze_excite"]
    samples = seeded_samples(model, 1)
    with pytest.raises(
        DoesNotFitError, match=r"bytes of RAM, cortex-m4 has 1,000: [\d,]+ too many"
    ):
        verify_model(model, target("cortex-m4", ram_bytes=1000), samples)
    with pytest.raises(DoesNotFitError, match=r"bytes of flash, cortex-m4 has 4,096"):
        verify_model(model, target("cortex-m4", flash_bytes=4096), samples)


@needs_tools
def test_the_linker_has_the_devices_own_ram(models, tmp_path):
    project = build_project(models["squeeze_excite"])
    # The arena fits, arena and stack together do not.
    ram_bytes = project.memory.arena_bytes + 64
    with pytest.raises(ExportError, match=r"failed: .*region `?RAM'? overflowed by \d+ bytes"):
        build_firmware(
            project, tmp_path, load_core("cortex-m4"), find_tools(),
            flash_bytes=2**19, ram_bytes=ram_bytes,
        )  # fmt: skip


@pytest.mark.slow
@needs_tools
def test_stack_counts_before_compiling_and_a_device_without_room_to_spare_is_enough(models):
    model = models["squeeze_excite"]
    samples = seeded_samples(model, 2)
    found = verify_model(model, target("cortex-m4"), samples)
    smallest = found.ram_predicted_bytes
    assert smallest is not None
    assert found.arena_bytes < smallest
    with pytest.raises(DoesNotFitError, match=r"bytes of RAM, .*: 1 too many"):
        verify_model(model, target("cortex-m4", ram_bytes=smallest - 1), samples)
    tight = verify_model(model, target("cortex-m4", ram_bytes=smallest), samples)
    assert tight.passed
    assert tight.stack_bytes == found.stack_bytes


@needs_tools
def test_command_prints_one_json_object(models):
    model = str(models["squeeze_excite"])
    done = CliRunner().invoke(
        app, ["verify", model, "--device", "cortex-m4", "--inputs", "4", "--json"]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {
        "device", "inputs", "mismatches", "max_lsb", "intermediate_max_lsb",
        "instructions_per_inference", "instructions_per_layer", "flash_bytes", "ram_bytes",
        "stack_bytes", "arena_bytes", "arena_predicted_bytes", "seconds",
    } <= set(found)  # fmt: skip
    assert found["mismatches"] == {"onnxruntime": 0, "host_c": 0}
    assert {"values", "differing", "averages_within_bound", "max_lsb"} <= set(
        found["instructions_per_layer"][0]
    )
    assert found["faults"] == []


def test_missing_tools_are_one_line_with_the_command(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(
        ExportError, match=r"qemu-system-arm not found on PATH; run `apt-get install"
    ):
        find_tools()


def test_a_device_without_emulated_core_is_refused():
    device = load_device("raspberry-pi-4")
    with pytest.raises(UnknownNameError, match="unknown emulated core"):
        target_of(device)


def test_reserved_memory_is_not_the_networks():
    device = load_device("cortex-m4")
    kept = device.model_copy(update={"reserved_ram_bytes": 1024})
    assert target_of(device).ram_bytes - target_of(kept).ram_bytes == 1024


def test_ticks_become_instructions():
    core = load_core("cortex-m4").model_copy(update={"counter_hz": 25e6})
    assert core.instructions(1600) == 1000


def test_a_failing_tool_is_quoted(tmp_path):
    with pytest.raises(ExportError, match=r"cc failed: .*error: expected"):
        (tmp_path / "broken.c").write_text("int main(void) { return }\n")
        toolchain.run_tool([*toolchain.find_host_compiler(), "broken.c"], folder=tmp_path)


@pytest.mark.slow
@needs_tools
def test_a_folder_of_exported_c_is_checked_as_it_lies_there(models, tmp_path, capsys):
    from support.exported_c import export_c

    from hwkd.cli.app import main

    out = tmp_path / "firmware"
    export_c(models["squeeze_excite"], out, rounding="q31", labels=("a", "b", "c"))
    command = ["verify", str(out), "--device", "cortex-m4", "--inputs", "3", "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rounding"] == "q31"
    assert found["arena_bytes"] == json.loads((out / "model.json").read_text())["arena_bytes"]
    assert main([*command, "--rounding", "float"]) == 2
    assert "exported C with --rounding q31" in capsys.readouterr().err
    (out / "model.c").write_text("int model;")
    assert main(command) == 2
    assert "model.c: not what this hwkd exports" in capsys.readouterr().err
    (out / "model.json").write_text("{}")
    assert main(command) == 2
    assert "model.json: not a description" in capsys.readouterr().err


def test_maps_are_scored_class_by_class_though_c_keeps_them_position_by_position(tmp_path):
    network = NetworkBuilder((2, 6, 8))
    network.conv(3)
    model = quantise(network, tmp_path, "maps")
    project, samples = build_project(model), seeded_samples(model, 5)
    expected = predict_all(open_session(model), samples)
    in_c = placed_outputs(expected, list(project.outputs.values()), project.arranged)
    found = answers(project, in_c, np.zeros(5, np.int64))
    assert found.shape == (5, 3, 6, 8)
    np.testing.assert_array_equal(found, expected[0])
