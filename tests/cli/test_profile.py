"""`hwkd profile`: the JSON contract, overrides, the host, and what users get wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.profiled import (
    MACS,
    WEIGHT_BYTES,
    answers,
    profile,
    refused,
    save_model,
    write_small_model,
)

from hwkd.cli.app import main
from hwkd.cost.memory_interval import ram_interval_bytes
from hwkd.io.runtime_files import load_runtime

KEYS = [
    "device", "runtime", "clock_hz", "dtype", "macs", "params", "latency", "peak_ram_bytes",
    "peak_ram_interval_bytes", "ram_parts", "flash_bytes", "flash_parts",
    "predicted_instructions", "energy_j", "stream", "energy", "daily_energy", "per_op",
    "unsupported_ops", "fit", "training", "fits", "reasons", "inputs", "notes",
]  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "small.onnx")


def test_json_has_the_fields_that_other_programs_read(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = profile(capsys, model, "--device", "cortex-m4")
    assert list(found) == KEYS
    shares = ["never_timed", "borrowed", "weak_shares"]
    assert list(found["latency"]) == ["value_s", "low_s", "high_s", "basis", *shares]
    assert answers(found) == {"latency": "fits", "ram": "fits", "flash": "fits"}
    assert found["fit"]["answer"] == "fits"
    for op in found["per_op"]:
        assert list(op) == ["name", "op", "macs", "latency_s", "ram_bytes", "flash_bytes"]
    assert (found["macs"], found["dtype"]) == (MACS, "int8")
    latency = found["latency"]
    assert 0 < latency["low_s"] < latency["value_s"] < latency["high_s"]
    assert latency["basis"].startswith("estimated: tflm-cmsis-nn")


@pytest.mark.parametrize("runtime", ["tflm-cmsis-nn", "x-cube-ai-8", "hwkd-c"])
def test_parts_of_ram_and_flash_are_fields_and_add_up(
    model: Path, runtime: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = profile(capsys, model, "--device", "cortex-m7", "--runtime", runtime)
    ram, flash = found["ram_parts"], found["flash_parts"]
    assert sum(ram.values()) == found["peak_ram_bytes"]
    assert sum(flash.values()) == found["flash_bytes"]
    assert ram["runtime_bytes"] > 0 < flash["code_bytes"]
    assert ram["feature_bytes"] == flash["feature_bytes"] == 0
    assert main(["profile", str(model), "--device", "cortex-m7", "--runtime", runtime]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "activations" in printed
    assert " runtime" in printed
    assert "code and tables" in printed


def test_only_a_runtime_whose_kernels_were_counted_has_instructions(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, fast = (
        profile(capsys, model, "--device", core, "--runtime", "hwkd-c")["predicted_instructions"]
        for core in ("cortex-m0plus", "cortex-m4")
    )
    # Two products an instruction at best, and less than one on a core without such.
    assert small["network"] > 2 * MACS
    assert MACS / 2 < fast["network"] < small["network"]
    assert fast["features"] is None
    other = profile(capsys, model, "--device", "cortex-m4")
    assert other["predicted_instructions"] is None


def test_the_ram_of_a_tested_runtime_is_a_band_and_wider_with_operators_never_seen() -> None:
    rules = load_runtime("x-cube-ai-8").memory
    low, high = ram_interval_bytes(1000, rules, {"Conv", "Add"}) or (0, 0)
    wide = ram_interval_bytes(1000, rules, {"Conv", "MatMul"})
    assert 0 < low < 1000 < high
    assert wide == (round(low * low / 1000), round(high * high / 1000))
    assert ram_interval_bytes(1000, load_runtime("tflm-cmsis-nn").memory, {"Conv"}) is None


def test_layers_add_up_to_the_totals(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = profile(capsys, model, "--device", "cortex-m4")
    ops = found["per_op"]
    assert {op["name"] for op in ops} == {"conv", "conv_act", "pool", "flat", "classifier"}
    assert sum(op["macs"] for op in ops) == MACS
    assert sum(op["flash_bytes"] for op in ops) == WEIGHT_BYTES
    assert sum(op["latency_s"] for op in ops) == pytest.approx(found["latency"]["value_s"])
    assert max(op["ram_bytes"] for op in ops) <= found["peak_ram_bytes"]
    assert found["flash_bytes"] > WEIGHT_BYTES


def test_twice_the_clock_is_half_the_time(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow = profile(capsys, model, "--device", "cortex-m4", "--clock", "60MHz")
    fast = profile(capsys, model, "--device", "cortex-m4", "--clock", "120MHz")
    assert (slow["clock_hz"], fast["clock_hz"]) == (60e6, 120e6)
    assert slow["latency"]["value_s"] == pytest.approx(2 * fast["latency"]["value_s"])


def test_another_runtime_gives_another_memory(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tflm = profile(capsys, model, "--device", "cortex-m7", "--runtime", "tflm-cmsis-nn")
    cube = profile(capsys, model, "--device", "cortex-m7", "--runtime", "x-cube-ai-10")
    assert tflm["runtime"] == "tflm-cmsis-nn"
    assert tflm["peak_ram_bytes"] != cube["peak_ram_bytes"]
    assert {op["name"] for op in tflm["per_op"]} == {op["name"] for op in cube["per_op"]}


def test_the_host_is_measured_and_says_so(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = profile(capsys, model, "--device", "host")
    assert found["latency"]["basis"].startswith("measured: onnxruntime ")
    assert (found["clock_hz"], found["dtype"], found["energy_j"]) == (None, "float32", None)
    assert found["unsupported_ops"] == {}


def test_the_table_names_the_layer_that_binds(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["profile", str(model), "--device", "cortex-m4"]) == 0
    text = capsys.readouterr().out
    peak = next(line for line in text.splitlines() if "◀ peak" in line)
    assert "conv" in peak
    assert "Conv+Relu" in peak
    assert "most RAM is needed by conv (Conv)" in text
    for word in ("latency", "peak RAM", "flash", "energy", "90% interval"):
        assert word in text


def test_an_operator_without_a_cost_makes_a_lower_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    node = helper.make_node("LpNormalization", ["input"], ["y"], name="norm", axis=1, p=2)
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8])
        for name in ("input", "y")
    ]
    graph = helper.make_graph([node], "odd", value[:1], value[1:])
    path = tmp_path / "odd.onnx"
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    found = profile(capsys, path, "--device", "cortex-m4")
    assert found["unsupported_ops"] == {"LpNormalization": 1}
    assert found["per_op"][0]["latency_s"] is None
    assert main(["profile", str(path), "--device", "cortex-m4"]) == 0
    assert "lower bound" in capsys.readouterr().out


def test_plot_writes_a_picture(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "out" / "memory.png"
    profile(capsys, model, "--device", "cortex-m4", "--plot", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in picture.parent.iterdir()] == ["memory.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "cortex-m8"), "unknown device 'cortex-m8'; did you mean"),
        (("--device", "cortex-m4", "--runtime", "esp-nn"), "those that have: .*tflm-cmsis-nn"),
        (("--device", "cortex-m4", "--clock", "216"), "'216' has no unit"),
        (("--device", "cortex-m4", "--dtype", "int4"), "'int4' is not one of 'int8', 'float32'"),
        (("--device", "host", "--clock", "1GHz"), "leave it out"),
        (("--device", "host", "--dtype", "int8"), "measures the file as it is, which is float32"),
        (("--device", "cortex-m4", "--plot", "memory.doc"), "must end in .png"),
        ((), "[Mm]issing option '--device'"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: tuple[str, ...], message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    assert re.search(message, refused(capsys, model, *arguments))


def test_a_damaged_file_is_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(model.read_bytes()[:200])
    assert "cut" in refused(capsys, cut, "--device", "cortex-m4")
    assert "no such file" in refused(capsys, tmp_path / "none.onnx", "--device", "cortex-m4")


@pytest.mark.parametrize("device", ["cortex-m4", "cortex-m7", "esp32-s3"])
@pytest.mark.parametrize(
    ("nodes", "x", "y", "constants"),
    [
        ([("Reshape", ["x", "c"])], [1, 3, 4, 4], [1, 48], {"c": np.array([1, 48])}),
        ([("Squeeze", ["x", "c"])], [1, 1, 8], [1, 8], {"c": np.array([1])}),
        ([("MatMul", ["x", "c"])], [16], [4], {"c": np.ones((16, 4), np.float32)}),
        ([("Conv", ["x", "c"])], [1, 3, 16], [1, 4, 12], {"c": np.ones((4, 3, 5), np.float32)}),
    ],
)
def test_small_valid_graphs_are_costed_on_every_runtime(
    nodes, x, y, constants, device, tmp_path, capsys
) -> None:
    made = [helper.make_node(kind, inputs, ["y"]) for kind, inputs in nodes]
    path = save_model(tmp_path / "m.onnx", made, x, y, **constants)
    found = profile(capsys, path, "--device", device)
    assert found["unsupported_ops"] == {}
    assert main(["profile", str(path), "--device", device]) == 0


def test_a_signal_costs_what_the_image_of_height_one_costs(tmp_path, capsys) -> None:
    weights = np.ones((4, 3, 5), np.float32)
    signal = save_model(
        tmp_path / "signal.onnx",
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[2, 2], strides=[2])],
        [1, 3, 64], [1, 4, 32], w=weights,
    )  # fmt: skip
    image = save_model(
        tmp_path / "image.onnx",
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[0, 2, 0, 2], strides=[1, 2])],
        [1, 3, 1, 64], [1, 4, 1, 32], w=weights[:, :, None],
    )  # fmt: skip
    for device in ("cortex-m4", "cortex-m7", "esp32-s3"):
        first, second = (profile(capsys, p, "--device", device) for p in (signal, image))
        for name in ("macs", "latency", "peak_ram_bytes", "flash_bytes", "energy_j"):
            assert first[name] == second[name]
        assert "height 1" in first["notes"][0]


def test_names_are_shown_as_they_are_and_obeyed_by_nobody(model, tmp_path, capsys) -> None:
    names = ["[/0]", "[bold]x", "\x1b[31mred", "two\nlines", "\u202eturned"]
    changed = onnx.load(model)
    for node, name in zip(changed.graph.node, names, strict=True):
        node.name = name
    path = tmp_path / "[red].onnx"
    onnx.save(changed, path)
    for device in ("cortex-m4", "cortex-m7"):
        assert main(["profile", str(path), "--device", device]) == 0
        text = capsys.readouterr().out
        assert "[red].onnx" in text
        assert "[/0]" in text
        assert "\\x1b[31mred" in text or device == "cortex-m7"
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_at_80_columns_every_number_is_whole(model, capsys, monkeypatch) -> None:
    long = onnx.load(model)
    for node in long.graph.node:
        node.name = f"/encoder/layers/{node.name}/of_a_name_that_is_long"
    onnx.save(long, model)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["profile", str(model), "--device", "cortex-m4"]) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow
    monkeypatch.delenv("COLUMNS")
    assert main(["profile", str(model), "--device", "cortex-m4"]) == 0
    piped = capsys.readouterr().out
    assert "/encoder/layers/classifier/of_a_name_that_is_long" in piped
    for number in ("55.3 k", "248 B"):
        assert number in narrow
        assert number in piped


def test_inputs_and_their_batch_are_named(model, capsys) -> None:
    found = profile(capsys, model, "--device", "cortex-m4")
    (given,) = found["inputs"]
    assert (given["shape"], given["batch_axis"]) == ([1, 3, 16, 16], 0)
    assert main(["profile", str(model), "--device", "cortex-m4"]) == 0
    assert "axis 'batch' is taken as the batch, of 1" in capsys.readouterr().out


def test_int8_of_a_partly_quantised_file_is_refused(tmp_path, capsys) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Erf", ["d"], ["e"], name="float"),
        helper.make_node("Sigmoid", ["e"], ["y"], name="too"),
    ]
    path = save_model(tmp_path / "m.onnx", nodes, [1, 8], [1, 8], s=np.float32(0.1), z=np.int8(0))
    assert profile(capsys, path, "--device", "cortex-m4")["dtype"] == "mixed"
    line = refused(capsys, path, "--device", "cortex-m4", "--dtype", "int8")
    assert "quantised to 8 bits only in part" in line


@pytest.mark.parametrize("command", ["verify", "export", "profile"])
def test_a_path_that_is_not_there_is_what_the_message_is_about(command, capsys) -> None:
    more = {"verify": ["--device", "cortex-m4"], "export": ["--out", "x"]}
    arguments = [command, "nowhere.onnx", *more.get(command, ["--device", "cortex-m4"])]
    assert main(arguments) == 2
    assert "no such file" in capsys.readouterr().err.lower()


def test_a_clock_above_the_one_of_the_file_is_said(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fast = profile(capsys, model, "--device", "cortex-m4", "--clock", "10GHz")
    (note,) = [line for line in fast["notes"] if "--clock" in line]
    assert "10000 MHz is above the 120 MHz of cortex-m4" in note
    slow = profile(capsys, model, "--device", "cortex-m4", "--clock", "60MHz")
    assert not [line for line in slow["notes"] if "--clock" in line]
