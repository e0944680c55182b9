"""`hwkd profile`: the JSON contract, limits, overrides, the host, and what users get wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwkd.cli.app import main
from hwkd.cost.memory_interval import ram_interval_bytes
from hwkd.io.runtime_files import load_runtime

KEYS = [
    "device", "runtime", "clock_hz", "dtype", "macs", "params", "latency", "peak_ram_bytes",
    "peak_ram_interval_bytes", "flash_bytes", "energy_j", "stream", "energy", "daily_energy",
    "per_op", "unsupported_ops", "fit", "fits", "reasons", "inputs", "notes",
]  # fmt: skip
# 3x3 convolution 3->8 on 16x16, ReLU, mean, fully connected 8->4.
MACS = 8 * 27 * 256 + 8 * 4
WEIGHT_BYTES = 8 * 27 + 4 * 8 + 8 * 4 + 4 * 4


@pytest.fixture
def model(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["input", "w", "b"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="conv_act"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "v", "d"], ["logits"], name="classifier", transB=1),
    ]
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 16, 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])],
        [constant("w", 8, 3, 3, 3), constant("b", 8), constant("v", 4, 8), constant("d", 4)],
    )  # fmt: skip
    path = tmp_path / "small.onnx"
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


def profile(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    assert main(["profile", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def answers(found: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["answer"] for entry in found["fit"]["limits"]}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["profile", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert printed.err.count("\n") == 1
    return printed.err


def test_json_has_the_fields_that_other_programs_read(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = profile(capsys, model, "--device", "cortex-m4")
    assert list(found) == KEYS
    assert list(found["latency"]) == ["value_s", "low_s", "high_s", "basis"]
    assert answers(found) == {"latency": "fits", "ram": "fits", "flash": "fits"}
    assert found["fit"]["answer"] == "fits"
    for op in found["per_op"]:
        assert list(op) == ["name", "op", "macs", "latency_s", "ram_bytes", "flash_bytes"]
    assert (found["macs"], found["dtype"]) == (MACS, "int8")
    latency = found["latency"]
    assert 0 < latency["low_s"] < latency["value_s"] < latency["high_s"]
    assert latency["basis"].startswith("estimated: tflm-cmsis-nn")


def test_the_ram_of_a_tested_runtime_is_a_band_and_wider_with_operators_never_seen() -> None:
    rules = load_runtime("x-cube-ai-8").memory
    low, high = ram_interval_bytes(1000, rules, {"Conv", "Add"}) or (0, 0)
    wide = ram_interval_bytes(1000, rules, {"Conv", "MatMul"})
    assert 0 < low < 1000 < high
    assert wide == (round(low * low / 1000), round(high * high / 1000))
    assert ram_interval_bytes(1000, load_runtime("tflm-cmsis-nn").memory, {"Conv"}) is None


def test_an_energy_is_a_band_and_a_day_has_its_inferences_and_its_sleep(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = ("--device", "cortex-m7", "--runtime", "x-cube-ai-8")
    found = profile(capsys, model, *device, "--period", "1s", "--sleep-power", "10uW")
    energy, day = found["energy"], found["daily_energy"]
    assert energy["value_j"] == found["energy_j"]
    assert 0 < energy["low_j"] < energy["value_j"] < energy["high_j"]
    for end in ("low", "value", "high"):
        slept_s = 1 - found["latency"][f"{end}_s"]
        assert day[f"{end}_j"] == pytest.approx(86_400 * (energy[f"{end}_j"] + 1e-5 * slept_s))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sleep-power", "10uW"), "--sleep-power needs --period, as --period 1s"),
        (("--period", "1s"), "--period needs --sleep-power, as --sleep-power 10uW"),
        (("--period", "1s", "--sleep-power", "10uJ"), "--sleep-power: unit 'uJ' is not one of"),
        (("--period", "1us", "--sleep-power", "1uW"), "--period 1e-06 s: one inference takes up"),
    ],
)
def test_a_duty_cycle_that_cannot_be_is_one_line(
    options: tuple[str, ...], message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, model, "--device", "cortex-m7", "--runtime", "x-cube-ai-8", *options)
    assert message in line


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


def test_a_device_with_too_little_memory_does_not_fit(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib.resources import files

    text = (files("hwkd.devices") / "cortex-m4.toml").read_text("utf-8")
    lines = [
        line for line in text.splitlines() if not line.startswith(("sram_bytes =", "flash_bytes ="))
    ]
    at = next(index for index, line in enumerate(lines) if line.startswith("core"))
    lines[at:at] = ["sram_bytes = 2048", "flash_bytes = 4096"]
    sources = lines.index("[sources]")
    lines[sources + 1 : sources + 1] = ['sram_bytes = "test"', 'flash_bytes = "test"']
    path = tmp_path / "tiny.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    found = profile(capsys, model, "--device", path)
    assert answers(found) == {"latency": "fits", "ram": "over", "flash": "over"}
    assert (found["fits"]["ram"], found["fits"]["weights"]) == (False, True)
    assert found["fit"]["answer"] == "over"


def test_limits_that_are_given_replace_those_of_the_device(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "--max-latency", "1h", "--max-ram", "1kB", "--max-flash", "1MiB",
        "--max-weights", f"{WEIGHT_BYTES}B", "--max-energy", "1nJ",
    ]  # fmt: skip
    found = profile(capsys, model, "--device", "cortex-m4", *asked)
    assert answers(found) == {
        "latency": "fits", "ram": "over", "flash": "fits", "weights": "fits", "energy": "over",
    }  # fmt: skip
    limits = {entry["name"]: entry["limit"] for entry in found["fit"]["limits"]}
    assert limits == {
        "latency": 3600, "ram": 1000, "flash": 2**20, "weights": WEIGHT_BYTES, "energy": 1e-9,
    }  # fmt: skip


def test_risk_chooses_the_end_of_the_latency_that_is_judged(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latency = profile(capsys, model, "--device", "cortex-m4")["latency"]
    asked = ["--device", "cortex-m4", "--max-latency", f"{latency['value_s']:.9f}s"]
    expected = profile(capsys, model, *asked, "--risk", "expected")["fit"]["limits"][0]
    upper = profile(capsys, model, *asked)["fit"]["limits"][0]
    assert expected["needed"] == latency["value_s"]
    assert (upper["needed"], upper["answer"]) == (latency["high_s"], "over")


def test_an_energy_that_nobody_published_is_unknown_under_a_limit(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["profile", str(model), "--device", "esp32-s3", "--max-energy", "1J"]
    assert main(asked) == 0
    (energy,) = [line for line in capsys.readouterr().out.splitlines() if "energy" in line]
    assert "unknown" in energy
    assert "no published power" in energy


def test_a_limit_without_a_unit_is_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, model, "--device", "cortex-m4", "--max-ram", "64")
    assert "--max-ram: '64' has no unit" in error


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


def save_model(
    path: Path, nodes: list[onnx.NodeProto], x: list[int], y: list[int], **constants: np.ndarray
) -> Path:
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


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


def test_a_network_without_any_cost_is_unknown_and_does_not_fit(tmp_path, capsys) -> None:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y", "", ""], hidden_size=4)
    path = save_model(
        tmp_path / "m.onnx", [node], [1, 1, 5], [1, 1, 1, 4],
        w=np.ones((1, 16, 5), np.float32), r=np.ones((1, 16, 4), np.float32),
    )  # fmt: skip
    found = profile(capsys, path, "--device", "cortex-m4")
    assert [found["latency"][key] for key in ("value_s", "low_s", "high_s")] == [None] * 3
    assert found["energy_j"] is None
    assert answers(found) == {"latency": "unknown", "ram": "unknown", "flash": "unknown"}
    assert found["fits"] == dict.fromkeys(("latency", "ram", "flash", "energy")) | {"weights": True}
    assert found["fit"]["limits"][0]["needed"] is None
    assert "no cost for LSTM x 1" in found["reasons"]["latency"]
    assert "working memory of LSTM" in found["reasons"]["ram"]


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
