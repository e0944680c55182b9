"""A search is not left without candidates by what was never timed."""

from __future__ import annotations

import pytest

from benchmarks.accuracy.cost_reach import candidates, within_reach
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.io.discovery import discover


@pytest.mark.parametrize(
    ("device", "runtime"), [("cortex-m7", "x-cube-ai-8"), ("nucleo-f446re", "tflm-cmsis-nn")]
)
def test_a_fifth_of_the_candidates_fits_by_the_upper_end_when_half_do_by_the_estimate(
    device: str, runtime: str
) -> None:
    discover("hwkd.search_spaces")
    drawn = [graph for space in SEARCH_SPACES.names() for graph in candidates(space, 12)]
    fits = within_reach(drawn, device, runtime)
    assert len(fits) == len(drawn)
    assert 0.2 <= sum(fits) / len(fits) <= 0.5
