"""What benchmarks keep can be read again, and the page of numbers is what the files say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.lib.results import Reached, Result, read_results
from benchmarks.lib.verdict import Target, report
from tools.numbers_page import PAGE, page

ROOT = Path(__file__).parents[2]


def result(*, reached: float, is_met: bool) -> Result:
    target = Reached(
        what="share inside", reached=reached, limit=85.0, relation="at least", unit="%",
        is_met=is_met,
    )  # fmt: skip
    return Result(
        name="accuracy.made", targets=(target,), values={"rows": [{"a": 1, "b": 0.5}]},
        command="python -m benchmarks.accuracy.made", commit="abc1234", versions={"python": "3"},
        machine="one core", date="2026-01-02T03:04:05+00:00",
    )  # fmt: skip


def test_the_page_agrees_with_the_files() -> None:
    results = read_results()
    assert results, "no benchmark has a result"
    assert PAGE.read_text(encoding="utf-8") == page(results), "run: make numbers"


def test_a_missed_target_stands_first_and_is_named() -> None:
    text = page([result(reached=80.0, is_met=False)])
    head, section = text.split("## accuracy.made")
    assert "- `accuracy.made`: share inside: 80 %, at least 85 %" in head
    assert "| share inside | 80 % | at least 85 % | **missed** |" in section
    assert "| 1 | 0.5 |" in section
    assert "None." in page([result(reached=90.0, is_met=True)])


@pytest.mark.slow
def test_a_benchmark_keeps_what_it_reached(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HWKD_BENCHMARK_RESULTS", str(tmp_path))
    command = [sys.executable, "-m", "benchmarks.accuracy.memory_zoo"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    (found,) = read_results(tmp_path)
    assert found.name == "accuracy.memory_zoo"
    assert found.command == "python -m benchmarks.accuracy.memory_zoo"
    # The exit code and the kept targets say the same.
    assert found.targets
    assert done.returncode == (not all(target.is_met for target in found.targets)), done.stderr


@pytest.mark.parametrize(("more", "kept"), [([], 1), (["--quick"], 0), (["--only", "x"], 0)])
def test_a_run_of_a_part_is_not_kept(more: list[str], kept: int, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HWKD_BENCHMARK_RESULTS", str(tmp_path))
    monkeypatch.setattr("benchmarks.lib.verdict.program_name", lambda: "accuracy.made")
    monkeypatch.setattr(sys, "argv", ["made", *more])
    assert report([Target("share", 0.9, 0.85, at_least=True)]) == 0
    assert len(list(tmp_path.iterdir())) == kept
