"""The command line as a whole: versions, completion, errors as JSON, near names, idle options."""

import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import hwkd
from hwkd.api.config import config
from hwkd.api.option import command_line, declared
from hwkd.cli.app import main
from hwkd.cli.completion import completion_of
from hwkd.cli.devices import ask_about_outlier
from hwkd.core.errors import ConfigError, HwkdError, OutlierError, UnknownNameError
from hwkd.engine.run.run_record import search_caveats
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.device_catalog import load_device

OLD_RUN = Path(__file__).parents[1] / "golden" / "run_v1"


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_the_version_names_what_it_computes_with(flag, capsys):
    assert main([flag]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"hwkd {hwkd.__version__} (")
    for package in ("torch", "onnxruntime", "optuna"):
        assert f"{package} {version(package)}" in said


@pytest.mark.slow
def test_a_shell_completes_commands_and_options():
    for words, expected in (
        ("hwkd dev", "devices"),
        ("hwkd search --max-l", "--max-latency"),
        ("hwkd search --device cortex-m7", "cortex-m7"),
    ):
        asked = {
            "_HWKD_COMPLETE": "complete_bash", "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }  # fmt: skip
        found = subprocess.run(
            [sys.executable, "-c", "import sys; from hwkd.cli.app import main; sys.exit(main())"],
            env={**os.environ, **asked}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert expected in found.stdout.split(), found


def test_a_shell_is_offered_names_and_the_runs_that_lie_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("runs/digits", "other", "runs/photos"):
        (tmp_path / place).mkdir(parents=True)
    for place in ("runs/digits", "other"):
        (tmp_path / place / "run.json").write_text("{}")
    options = {o.word: o for o in (*declared(hwkd.distill), *declared(hwkd.finetune))}
    expected = {
        ("device", "nucleo-f446"): ["nucleo-f446re"], ("task", "reg"): ["regression"],
        ("student", ""): ["other", "runs/digits"], ("run", "runs/"): ["runs/digits"],
    }  # fmt: skip
    for (word, typed), names in expected.items():
        offer = completion_of(options[word])
        assert offer is not None
        assert offer(typed) == names
    assert completion_of(options["data"]) is None


@pytest.mark.parametrize(
    ("words", "kind", "part"),
    [
        (["devices", "show", "cortex-m8", "--json"], "UnknownNameError", "did you mean"),
        (["search", "--json"], "ConfigError", "--device is missing"),
        (["devices", "shew", "--json"], "UsageError", "shew"),
    ],
)
def test_with_json_an_error_is_one_json_object_on_standard_output(words, kind, part, capsys):
    assert main(words) == 2
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert (error["kind"], error["exit_code"]) == (kind, 2)
    assert part in error["message"]
    assert part in said.err


def test_without_json_an_error_is_on_standard_error_alone(capsys):
    assert main(["devices", "show", "cortex-m8"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("stm32f446", "nucleo-f446re"),
        ("STM32F446RE", "nucleo-f446re"),
        ("nucleo-l4r5zi", "cortex-m4"),  # by its board
        ("stm32h747", "stm32h747i-disco"),
        ("rp2040", "raspberry-pi-pico"),  # by its chip
        ("pico", "raspberry-pi-pico"),
        ("portenta", "arduino-portenta-h7"),
        ("stm32f4", "cortex-m4"),  # by its family
        ("stm32l4", "cortex-m4"),
        ("stm32g474", "cortex-m4"),
        ("stm32h7", "stm32h747i-disco"),
        ("STM32U585", "cortex-m33"),
        ("stm32g0", "cortex-m0plus"),
        ("m4", "cortex-m4"),
        ("u55", "ethos-u55-128"),
    ],
)
def test_a_board_that_is_written_otherwise_is_suggested_first(given, meant):
    with pytest.raises(UnknownNameError, match=f"did you mean {meant}") as caught:
        load_device(given)
    assert caught.value.nearest[0] == meant


def test_boards_of_a_family_follow_its_core_and_a_core_without_device_suggests_no_other():
    with pytest.raises(UnknownNameError) as caught:
        load_device("stm32l5")
    assert caught.value.nearest == ("cortex-m33", "nucleo-l552ze-q")
    with pytest.raises(UnknownNameError, match="known: ") as caught:
        load_device("stm32f1")
    assert caught.value.nearest == ()


def test_a_name_with_a_slip_is_suggested_as_ever():
    with pytest.raises(UnknownNameError) as caught:
        load_device("cortex-m8")
    assert {"cortex-m4", "cortex-m7"} <= set(caught.value.nearest)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"objective": "pareto", "alpha": 2.0}, "--alpha: does nothing, because --objective par"),
        ({"objective": "pareto", "target_latency": "2ms"}, "--target-latency: does nothing"),
        ({"teachers": "a.py:f", "teacher_time": "2min"}, "--teacher-time: does nothing, because"),
    ],
)
def test_an_option_that_does_nothing_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        hwkd.search("cortex-m7", **given)


def test_an_outlier_is_asked_about_in_a_terminal_and_refused_elsewhere(monkeypatch):
    calls = []

    def calibrate(**given):
        calls.append(given)
        if "outliers" not in given:
            raise OutlierError("rows.csv: line 3 took 1000 times what the other rows say")
        return given

    monkeypatch.setattr(hwkd, "calibrate", calibrate)
    with pytest.raises(OutlierError):
        ask_about_outlier(device="board.toml")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *text, err: False)
    with pytest.raises(OutlierError):
        ask_about_outlier(device="board.toml")
    monkeypatch.setattr("typer.confirm", lambda *text, err: True)
    ask_about_outlier(device="board.toml")
    assert calls[-1] == {"device": "board.toml", "outliers": "keep"}


def test_sources_left_to_fill_in_are_a_caveat_of_the_run(tmp_path):
    hwkd.new_device(tmp_path / "board.toml")
    device = load_device(str(tmp_path / "board.toml"))
    config = SearchConfig(device=str(tmp_path / "board.toml"))
    told = [
        line for line in search_caveats(config, device, [], is_compared=False) if "FILL IN" in line
    ]
    assert len(told) == 1
    assert all(name in told[0] for name in ("clock_hz", "sram_bytes", "flash_bytes"))
    packaged = search_caveats(
        SearchConfig(device="cortex-m7"), load_device("cortex-m7"), [], is_compared=True
    )
    assert not any("FILL IN" in line for line in packaged)


def test_the_options_of_a_run_are_a_file_that_asks_for_the_same(capsys):
    found = config(OLD_RUN)
    assert found.options == {"device": "cortex-m7", "data": "my digits.npz"}
    assert main(["config", "show", str(OLD_RUN)]) == 0
    said = capsys.readouterr().out
    assert said == "# options of hwkd search, for --config\n" + found.text


def test_recorded_options_come_back_with_their_types(tmp_path, monkeypatch):
    given = {
        "device": "cortex-m7", "spaces": ["plain", "depthwise"], "trials": 12, "alpha": 2.5,
        "final": False, "verify": True, "methods": ["kd:temperature=2"], "max_latency": "2ms",
    }  # fmt: skip

    class Record:
        made_by = "search"
        command = command_line("hwkd search", hwkd.search, given)

    reading = import_module("hwkd.report.read")
    monkeypatch.setattr(reading, "read_run", lambda folder: (Record, ()))
    assert config(tmp_path).options == {
        "device": "cortex-m7", "space": ["plain", "depthwise"], "trials": 12, "alpha": 2.5,
        "final": False, "verify": True, "method": ["kd:temperature=2"], "max-latency": "2ms",
    }  # fmt: skip
    Record.made_by = "distill"
    more = {"run": "runs/t_in", "data": "new.npz", "out": "runs/ft", "epochs": 3}
    Record.command = command_line("hwkd finetune", hwkd.finetune, more)
    finetuned = config(tmp_path)
    assert finetuned.command == "finetune"
    assert finetuned.options == more
    Record.made_by = "search"
    Record.command = ("hwkd", "search", "--depth", "3")
    with pytest.raises(HwkdError, match="made with --depth, which this version"):
        config(tmp_path)
