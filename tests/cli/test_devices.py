"""`hwkd devices`, from a new file to a calibrated board."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import hwkd
from hwkd.cli.app import app
from hwkd.core.errors import ConfigError, HwkdError
from hwkd.cost.estimate import estimate_cost
from hwkd.io.device_catalog import device_names, load_device
from hwkd.trace.onnx_file import load_graph


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, ["devices", *map(str, arguments)])
    if isinstance(result.exception, HwkdError):
        raise result.exception
    return result


def run_json(*arguments: object) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "kit"
    assert run_json("bench-kit", "--out", folder, "--count", 10)["models"] == 10
    return folder


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "my-board.toml"
    assert run("new", path, "--like", "cortex-m33").exit_code == 0
    return path


def measure(kit: Path, csv_path: Path, *, slower: float, rows: int = 10) -> Path:
    """Write what a board `slower` times the packaged M33 would measure on the kit's models."""
    device = load_device("cortex-m33")
    models = sorted((kit / "int8").glob("*.onnx"), key=lambda p: -p.stat().st_size)[:rows]
    with csv_path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["model", "latency_ms"])
        for path in models:
            latency = estimate_cost(load_graph(path), device).latency
            assert latency
            writer.writerow([path, latency.value_s * slower * 1e3])
    return csv_path


@pytest.mark.slow
def test_list_names_every_device(kit: Path) -> None:
    listed = run_json("list")["devices"]
    assert {row["name"] for row in listed} == set(device_names())
    assert "cortex-m7" in run("list").stdout


def test_show_says_what_each_runtime_was_fitted_on() -> None:
    text = run("show", "cortex-m7").stdout
    assert "x-cube-ai-8" in text
    assert "MLPerf" in text
    assert run_json("show", "cortex-m7")["runtimes"]["x-cube-ai-8"]["version"] == "8.1"


def test_a_new_file_is_valid_and_lists_what_to_fill_in(board: Path) -> None:
    assert "sources still to fill in: clock_hz" in run("validate", board).stdout
    assert run_json("validate", board)["valid"] == ["my-board"]
    assert board.read_text().startswith("# A device for hwkd")


def test_new_never_overwrites_unless_told(board: Path) -> None:
    before = board.read_text()
    with pytest.raises(ConfigError, match="exists; give another name, or --force"):
        run("new", board)
    assert board.read_text() == before
    assert run("new", board, "--force").exit_code == 0


@pytest.mark.parametrize("name", device_names())
def test_every_packaged_device_can_be_started_from(tmp_path: Path, name: str) -> None:
    if not load_device(name).runtime().latency:
        with pytest.raises(ConfigError, match="no fit to start from"):
            run("new", tmp_path / "b.toml", "--like", name)
        return
    path = tmp_path / "b.toml"
    run("new", path, "--like", name)
    assert load_device(str(path)).runtime().latency == load_device(name).runtime().latency


def test_the_kit_holds_float_and_int8_models_and_a_template(kit: Path) -> None:
    template = (kit / "measurements.csv").read_text().splitlines()
    assert template[1] == "model,latency_ms"
    assert len(template) == 12
    for line in template[2:]:
        model = kit / line.removesuffix(",")
        assert load_graph(model).macs == load_graph(kit / "float" / model.name).macs
    with pytest.raises(ConfigError, match="exists already"):
        run("bench-kit", "--out", kit)


def test_one_measured_model_sets_the_scale(kit: Path, board: Path, tmp_path: Path) -> None:
    rows = measure(kit, tmp_path / "one.csv", slower=2.0, rows=1)
    done = run_json("calibrate", "--device", board, "--measurements", rows)
    assert done["rows"] == 1
    assert done["error_before"] == pytest.approx(0.5, abs=0.002)
    assert done["error_after"] is None
    mine, packaged = load_device(str(board)), load_device("cortex-m33")
    graph = load_graph(next((kit / "int8").glob("*.onnx")))
    fast, slow = estimate_cost(graph, packaged).latency, estimate_cost(graph, mine).latency
    assert fast and slow
    assert slow.value_s == pytest.approx(2 * fast.value_s, rel=0.15)
    assert mine.runtime().latency["int8"].evidence.keys() == (
        packaged.runtime().latency["int8"].evidence.keys()
    )


def test_calibrating_again_replaces_the_block_and_keeps_what_the_user_wrote(
    kit: Path, board: Path, tmp_path: Path
) -> None:
    before = board.read_text()
    rows = measure(kit, tmp_path / "rows.csv", slower=1.5)
    for _ in range(2):
        done = run_json("calibrate", "--device", board, "--measurements", rows)
    assert done["error_before"] < 0.02
    assert done["error_after"] is not None
    text = board.read_text()
    assert text.startswith(before.rstrip())
    assert text.count("--- calibrated by") == 1
    model = load_device(str(board)).runtime().latency["int8"]
    assert "SHA-256" in model.source
    assert model.measurements == 10


def test_a_dry_run_writes_nothing(kit: Path, board: Path, tmp_path: Path) -> None:
    before = board.read_text()
    rows = measure(kit, tmp_path / "rows.csv", slower=1.5)
    text = run("calibrate", "--device", board, "--measurements", rows, "--dry-run").stdout
    assert "nothing written" in text
    assert board.read_text() == before


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("model,latency_ms", "no.onnx,1", "does not exist"),
        ("model,op,latency_ms", "{model},nope,1", "runs no operator 'nope'"),
        ("model,latency_ms", "{model},1e9", "check the unit"),
        ("model,latency_ms", "{model},-3", "must be more than 0"),
    ],
)
def test_wrong_measurements_leave_the_file_alone(
    kit: Path, board: Path, tmp_path: Path, header: str, row: str, message: str
) -> None:
    before = board.read_text()
    model = next((kit / "int8").glob("*.onnx"))
    rows = tmp_path / "rows.csv"
    rows.write_text(f"{header}\n{row.format(model=model)}\n")
    with pytest.raises(ConfigError) as caught:
        run("calibrate", "--device", board, "--measurements", rows)
    assert message in str(caught.value)
    assert board.read_text() == before


def test_rows_that_contradict_each_other_are_named_and_nothing_is_written(
    kit: Path, board: Path, tmp_path: Path
) -> None:
    before = board.read_text()
    model = next((kit / "int8").glob("*.onnx"))
    again = tmp_path / "again.onnx"
    again.write_bytes(model.read_bytes())
    rows = tmp_path / "rows.csv"
    rows.write_text(f"model,latency_ms\n{model},100\n{again},150\n")
    with pytest.raises(ConfigError, match=r"line 2 .* line 3 .* contradict each other"):
        run("calibrate", "--device", board, "--measurements", rows)
    assert board.read_text() == before


def test_a_packaged_device_is_not_calibrated_in_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"hwkd devices new my-board\.toml --like cortex-m4"):
        run("calibrate", "--device", "cortex-m4", "--measurements", tmp_path / "x.csv")


def test_a_full_fit_needs_rows_that_tell_coefficients_apart(
    kit: Path, board: Path, tmp_path: Path
) -> None:
    rows = measure(kit, tmp_path / "one.csv", slower=2.0, rows=1)
    with pytest.raises(ConfigError, match="cannot tell"):
        run("calibrate", "--device", board, "--measurements", rows, "--fit", "full")
    with pytest.raises(ConfigError, match=r"--fit: 'all' should be 'auto', 'scale' or 'full'"):
        hwkd.calibrate(board, rows, fit="all")
