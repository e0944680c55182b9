"""`hwkd profile` under limits: what fits, what is over, what nobody knows; energy of a day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper
from support.profiled import (
    WEIGHT_BYTES,
    answers,
    profile,
    refused,
    save_model,
    write_small_model,
)

from hwkd.cli.app import main


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "small.onnx")


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
