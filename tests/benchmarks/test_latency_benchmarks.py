"""The accuracy claims are re-checked on every run, on a subset of the published rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import (
    cost_intervals,
    cost_model_families,
    cost_new_board,
    cost_new_stack,
    cost_other_boards,
    cost_single_operators,
    hwkd_c_cycles,
)
from benchmarks.lib.verdict import Target, report
from hwkd.io.runtime_files import fit_names
from tools.refit import runtime_fits

SUBSETS = {
    "single operators": lambda: cost_single_operators.targets(every=12),
    "a new board": lambda: cost_new_board.targets(draws=2),
    "other boards": cost_other_boards.targets,
    "a new stack": cost_new_stack.targets,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBSETS)
def test_the_target_is_met(name: str) -> None:
    missed = [str(target) for target in SUBSETS[name]() if not target.is_met]
    assert not missed


@pytest.mark.slow
def test_networks_of_families_left_out_are_no_worse_than_was_reached() -> None:
    # The goal of 20% over all versions and cores is missed: the page says by how much.
    reached = [target.reached for target in cost_model_families.targets()]
    assert np.less_equal(reached, [0.07, 0.25, 0.065, 0.20]).all()


@pytest.mark.slow
def test_the_interval_holds_nine_of_ten_whole_models() -> None:
    networks, forms = cost_intervals.st_coverage()
    assert len(networks.inside) > 100
    assert 0.87 <= networks.inside.mean() <= 0.95
    assert 0.87 <= forms.inside.mean() <= 0.97
    assert max(networks.score, forms.score) < 1


def test_an_interval_score_grows_with_width_and_twenty_times_as_fast_outside() -> None:
    ratios = np.array([1.0, 1.2, 0.8])
    low, high = np.full(3, 0.9), np.full(3, 1.1)
    width = np.log(1.1 / 0.9)
    outside = np.array([0.0, np.log(1.2 / 1.1), np.log(0.9 / 0.8)])
    found = cost_intervals.interval_scores(ratios, low, high)
    assert found == pytest.approx(width + 20 * outside)


def test_a_missed_target_is_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert report([Target("speed", 2e-3, 1e-3, scale=1e6, unit=" us")]) == 1
    assert "2000 us (at most 1000 us: MISSED)" in capsys.readouterr().out
    assert report([Target("share", 0.9, 0.85, at_least=True)]) == 0


@pytest.mark.slow
def test_packaged_fits_are_what_the_data_give() -> None:
    from tools import refit_c
    from tools.refit import main

    fits = {f"{core}.{name}" for name, cores in runtime_fits().items() for core in cores}
    own = {f"{core}.hwkd-c" for core in refit_c.core_fits()}
    assert set(fit_names()) == fits | own
    assert main(["--check"]) == 0
    assert refit_c.main(["--check"]) == 0


def test_prices_of_instructions_hold_on_windows_that_they_were_not_fitted_to() -> None:
    for target in hwkd_c_cycles.targets():
        assert target.is_met, target


def test_the_page_says_how_far_builds_for_size_are_off() -> None:
    slow, _ = cost_other_boards.compiler_flags()
    assert slow == "-Os: 1% to 87% longer than estimated, mean 40%; 4 of 18 inside"
    page = " ".join((Path(__file__).parents[2] / "docs" / "accuracy.md").read_text().split())
    assert "took 1 to 87% longer than estimated, 40% in the mean, and 4 of 18" in page
