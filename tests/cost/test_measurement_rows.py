"""Measurement files: what is read, and the one line for each way to get it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwkd.core.errors import ConfigError
from hwkd.cost.fit.rows import read_measurements


def write(folder: Path, text: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("column", "value", "seconds"),
    [("latency_s", "0.002", 0.002), ("latency_ms", "2", 0.002), ("latency_us", "2e3", 0.002)],
)
def test_units_are_in_the_columns_name(
    tmp_path: Path, column: str, value: str, seconds: float
) -> None:
    (row,) = read_measurements(write(tmp_path, f"model,{column}\na.onnx,{value}\n"))
    assert row.latency_s == pytest.approx(seconds)
    assert row.cycles is None


def test_comments_empty_lines_and_single_operators_are_read(tmp_path: Path) -> None:
    text = "# mine\nmodel,op,cycles\n\na.onnx,conv1,1000\na.onnx,conv2,2000\n"
    rows = read_measurements(write(tmp_path, text))
    assert [(r.line, r.op, r.cycles) for r in rows] == [(4, "conv1", 1000.0), (5, "conv2", 2000.0)]


def test_semicolons_separate_cells_and_then_a_comma_is_a_decimal_point(tmp_path: Path) -> None:
    text = "model;op;latency_ms\na,b.onnx;conv1;2,5\nc.onnx;;3\n"
    rows = read_measurements(write(tmp_path, text))
    assert [row.model for row in rows] == ["a,b.onnx", "c.onnx"]
    assert [row.latency_s for row in rows] == pytest.approx([0.0025, 0.003])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model;cycles\na\n", "line 2: 1 cells, expected 2"),
        ("", "empty; the first line names the columns"),
        ("model,latency_ms\n", "no rows below the header"),
        ("model,latency\na,1\n", "'latency' is not one that hwkd reads; did you mean latency_s"),
        ("model,milliseconds\na,1\n", "'milliseconds' is not one that hwkd reads"),
        ("model\na\n", "exactly one of cycles"),
        ("model,cycles,latency_ms\na,1,1\n", "exactly one of cycles"),
        ("latency_ms\n1\n", "expected model and exactly one"),
        ("model,model,cycles\na,a,1\n", "a column is named twice"),
        ("model,latency_ms\na,-1\n", "line 2: latency_ms is -1; it must be more than 0"),
        ("model,latency_ms\na,0\n", "must be more than 0"),
        ("model,latency_ms\na,nan\n", "must be more than 0"),
        ("model,latency_ms\na,inf\n", "must be more than 0"),
        ("model,latency_ms\na,\n", "line 2: latency_ms is nothing, expected a plain number"),
        ("model,latency_ms\na,12 ms\n", "is '12 ms', expected a plain number"),
        ("model,latency_ms\n,1\n", "model is empty"),
        ("model,latency_ms\na,1,2\n", "line 2: 3 cells, expected 2"),
        ("model,latency_ms\na,1\nb,2\na,3\n", "line 4: a was measured on line 2 already"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_measurements(write(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_measurements(tmp_path / "no.csv")
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_measurements(tmp_path / "x.csv")
