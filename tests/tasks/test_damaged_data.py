"""Damaged files end in one line: a sample of what `benchmarks.robustness.data_mutants` makes."""

import pytest

from benchmarks.robustness.data_mutants import MAKERS, run


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_mutants_are_read_or_refused_in_one_line(kind, monkeypatch):
    monkeypatch.setenv("HWKD_CACHE_DIR", "restored afterwards")
    result = run(kind, count=60, seed=5)
    assert result.faults == {}
    assert result.read > 3
    assert result.refused > 3
