"""The memory claims are re-checked from the project's own facts, on every run of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["memory_tflm", "memory_zoo"])
def test_memory_benchmark_reaches_its_targets(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.accuracy.{name}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-600:] + done.stderr[-600:]
    assert "met" in done.stdout
