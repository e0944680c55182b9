"""Device files: what is accepted, and the one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.io import runtime_files
from hwkd.io.device_catalog import device_names, load_device, parse_device
from hwkd.io.runtime_files import fit_names

BOARD = """
schema_version = 1
name = "board"
description = "a board"
core = "Cortex-M4"
board = "BOARD-1"
clock_hz = 100e6
sram_bytes = 65536
flash_bytes = 262144
target_latency_s = 0.1
default_runtime = "tflm-cmsis-nn"

[sources]
clock_hz = "datasheet, page 1"
sram_bytes = "datasheet, page 1"
flash_bytes = "datasheet, page 1"
target_latency_s = "the application"

[runtimes.tflm-cmsis-nn]
fit = "cortex-m4.tflm-cmsis-nn"
"""


def parse(text: str):
    return parse_device(text, origin="board.toml")


def test_a_complete_file_is_read_with_the_fit_it_names() -> None:
    device = parse(BOARD)
    assert device.clock_hz == 100e6
    assert device.runtime().latency["int8"].measurements == 1458


def test_packaged_runtimes_are_parsed_once_however_many_device_files_name_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "board.toml"
    path.write_text(BOARD)
    known = load_device(str(path))
    monkeypatch.setattr(runtime_files, "parse_facts", pytest.fail)
    assert load_device(str(path)) == known


@pytest.mark.parametrize(
    ("given", "instead", "message"),
    [
        ("clock_hz = 100e6", "clock = 100e6", "clock is not a field; did you mean clock_hz"),
        ("sram_bytes = 65536", "sram = 65536", "sram is not a field; did you mean sram_bytes"),
        ("flash_bytes = 262144", "flash_byte = 1", "did you mean flash_bytes"),
        ("clock_hz = 100e6\n", "", "clock_hz is missing"),
        ('core = "Cortex-M4"\n', "", "core is missing"),
        ("clock_hz = 100e6", 'clock_hz = "100 MHz"', "plain number of hertz"),
        ("sram_bytes = 65536", "sram_bytes = -1", "sram_bytes = -1"),
        ("sram_bytes = 65536", "sram_bytes = 64.5", "sram_bytes = 64.5"),
        ("clock_hz = 100e6", "clock_hz = nan", "finite"),
        ("clock_hz = 100e6", "clock_hz = 120", "clock_hz = 120"),
        ("clock_hz = 100e6", "clock_hz = 160e9", "clock_hz = 160000000000.0"),
        (
            "sram_bytes = 65536",
            "sram_bytes = 65536\nreserved_ram_bytes = 65537",
            "reserved_ram_bytes = 65537 is more than sram_bytes = 65536",
        ),
        (
            "flash_bytes = 262144",
            "flash_bytes = 262144\nreserved_flash_bytes = 300000",
            "reserved_flash_bytes = 300000 is more than flash_bytes = 262144",
        ),
        ('clock_hz = "datasheet, page 1"\n', "", "clock_hz has no source"),
        ('name = "board"', 'name = "My Board"', "name = 'My Board'"),
        (
            'default_runtime = "tflm-cmsis-nn"',
            'default_runtime = "tvm"',
            "'tvm' is not in runtimes",
        ),
        ("cortex-m4.tflm-cmsis-nn", "cortex-m4.tflm-cmsis", "did you mean cortex-m4.tflm-cmsis-nn"),
        ("cortex-m4.tflm-cmsis-nn", "cortex-m5/x", "unknown device 'cortex-m5'"),
        ("cortex-m4.tflm-cmsis-nn", "cortex-m4/x", "cortex-m4 has no runtime 'x'"),
        ("schema_version = 1", "schema_version = 2", "schema_version"),
        ("schema_version = 1", "schema_version = ", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_one_line_with_file_and_key(given: str, instead: str, message: str) -> None:
    assert given in BOARD
    with pytest.raises(ConfigError) as caught:
        parse(BOARD.replace(given, instead, 1) if given != instead else BOARD)
    line = str(caught.value)
    assert message in line
    assert line.startswith("board.toml")
    assert "\n" not in line


@pytest.mark.parametrize("fit", ["cortex-m4.tflm-cmsis-nn", "cortex-m4/tflm-cmsis-nn"])
def test_a_fit_of_another_core_says_so_in_its_basis(tmp_path: Path, fit: str) -> None:
    path = tmp_path / "board.toml"
    for core, is_said in (("Cortex-M4", False), ("Cortex-M33", True), ("Cortex-M7", True)):
        text = BOARD.replace("cortex-m4.tflm-cmsis-nn", fit).replace('"Cortex-M4"', f'"{core}"')
        path.write_text(text)
        (model,) = load_device(str(path)).runtimes["tflm-cmsis-nn"].latency.values()
        said = f"of cortex-m4 and not of {core.lower()}"
        assert (said in model.fitted_on) is is_said


@pytest.mark.parametrize(
    ("core", "near"),
    [("Cortex-M44", "did you mean Cortex-M4"), ("M7", "did you mean Cortex-M7"), ("Zork", "known")],
)
def test_a_board_with_a_core_that_nobody_described_is_refused(
    tmp_path: Path, core: str, near: str
) -> None:
    path = tmp_path / "board.toml"
    path.write_text(BOARD.replace('"Cortex-M4"', f'"{core}"'))
    with pytest.raises(ConfigError, match=f"unknown core '{core}'; {near}") as refused:
        load_device(str(path))
    assert f"cores/{core.lower()}.toml beside this file" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_core_of_ones_own_is_known_by_its_file_or_by_what_was_timed_on_it(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(BOARD.replace('"Cortex-M4"', '"My-Core"'))
    (tmp_path / "cores").mkdir()
    (tmp_path / "cores" / "my-core.toml").write_text("described elsewhere")
    assert load_device(str(path)).core_key == "my-core"


def test_power_needs_a_source() -> None:
    with pytest.raises(ConfigError, match=r"active_power_w has no source"):
        parse(BOARD + "active_power_w = 0.05\n")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[runtimes.x.latency.int8.cycles.conv]\nmac = -1.0", "never negative"),
        ("[runtimes.x.latency.int8.cycles.convolution]\nmac = 1.0", "unknown operator class"),
        ("[runtimes.x.latency.int8.cycles.conv]\nmacs = 1.0", "unknown amount of conv 'macs'"),
    ],
)
def test_wrong_coefficients_are_named(table: str, message: str) -> None:
    spelled_out = """
[runtimes.x]
version = "1"
[runtimes.x.latency.int8]
fitted_on = "nothing"
measurements = 0
source = "a test"
interval = { low_ratio = 0.5, high_ratio = 2.0, calibrated_on = "a test" }
"""
    with pytest.raises(ConfigError, match=message):
        parse(BOARD + spelled_out + table + "\n")


def test_a_board_keeps_its_own_interval_over_the_fits() -> None:
    own = (
        "[runtimes.tflm-cmsis-nn.latency.int8.interval]\n"
        'low_ratio = 0.5\nhigh_ratio = 2.0\ncalibrated_on = "guess"\n'
    )
    model = parse(BOARD + own).runtime().latency["int8"]
    assert (model.interval.low_ratio, model.interval.high_ratio) == (0.5, 2.0)
    assert model.cycles == parse(BOARD).runtime().latency["int8"].cycles


def test_coefficients_of_ones_own_replace_the_fit_wholly() -> None:
    own = """
[runtimes.tflm-cmsis-nn.latency.int8]
fitted_on = "mine"
measurements = 1
source = "mine"
interval = { low_ratio = 0.5, high_ratio = 2.0, calibrated_on = "mine" }
cycles = { conv = { mac = 2.0 } }
"""
    assert parse(BOARD + own).runtime().latency["int8"].cycles == {"conv": {"mac": 2.0}}


def test_a_users_board_takes_scale_but_not_power_of_a_packaged_device() -> None:
    text = BOARD.replace("cortex-m4.tflm-cmsis-nn", "cortex-m7/tflm-cmsis-nn")
    mine, packaged = parse(text).runtime(), load_device("cortex-m7").runtime("tflm-cmsis-nn")
    assert mine.cycles_scale == packaged.cycles_scale
    assert parse(BOARD.replace("cortex-m4.tflm", "cortex-m4/tflm")).runtime().active_power_w is None


def test_an_unknown_device_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean cortex-m4"):
        load_device("cortex-m44")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_device(str(tmp_path / "no.toml"))


def test_a_runtime_without_data_is_refused_with_those_that_have() -> None:
    with pytest.raises(ConfigError, match=r"'esp-nn' has no data .* tflm-cmsis-nn, .*x-cube-ai-8"):
        load_device("cortex-m4").runtime("esp-nn")


def test_the_devices_that_users_are_promised_exist() -> None:
    promised = {"cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33", "esp32-s3", "esp32-p4"}
    promised |= {
        "raspberry-pi-zero-2",
        "raspberry-pi-3",
        "raspberry-pi-4",
        "raspberry-pi-5",
        "host",
    }
    assert promised <= set(device_names())
    assert len(fit_names()) >= 20
