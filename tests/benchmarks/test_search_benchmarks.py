"""What benchmarks of whole searches compute themselves is right, and each explains itself."""

from __future__ import annotations

import importlib

import pytest

PROGRAMS = (
    "search.search_embedded", "search.search_fashion", "search.search_limits",
    "search.time_limits", "speed.distillation_step", "speed.versus_script",
    "robustness.faults", "robustness.kill_resume", "robustness.many_machines",
)  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_benchmark_says_how_to_run_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        program.main()
    assert "--quick" in capsys.readouterr().out
    assert f"usage: python -m benchmarks.{name}" in str(program.__doc__)
