"""What benchmarks of whole searches compute themselves is right, and each explains itself."""

from __future__ import annotations

import importlib
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.speed.versus_script import hypervolume

UNIT = (1.0, 1.0, 1.0, 1.0)
PROGRAMS = (
    "search.search_embedded", "search.search_fashion", "search.search_limits",
    "search.time_limits", "speed.distillation_step", "speed.versus_script",
    "robustness.kill_resume",
)  # fmt: skip
points = st.lists(st.tuples(*[st.floats(0, 1.2)] * 4), max_size=5)


def test_one_point_dominates_its_box() -> None:
    assert hypervolume([(0.5, 1.0, 4.0, 2.0)], (1.0, 2.0, 8.0, 8.0)) == pytest.approx(0.5**3 * 0.75)


def test_a_point_outside_the_reference_counts_for_nothing() -> None:
    assert hypervolume([(0.1, 0.1, 0.1, 1.0)], UNIT) == 0.0
    assert hypervolume([], UNIT) == 0.0


@given(points)
def test_hypervolume_is_that_of_inclusion_and_exclusion(front: list[tuple[float, ...]]) -> None:
    wanted = 0.0
    for size in range(1, len(front) + 1):
        for chosen in combinations(front, size):
            corner = np.minimum(np.max(chosen, axis=0), 1.0)
            wanted -= (-1) ** size * float(np.prod(1.0 - corner))
    assert hypervolume(front, UNIT) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_benchmark_says_how_to_run_it(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = importlib.import_module(f"benchmarks.{name}")
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit, match="0"):
        program.main()
    assert "--quick" in capsys.readouterr().out
    assert f"usage: python -m benchmarks.{name}" in program.__doc__
