"""Coefficients of one board on a board never seen, from 20 calibration operators.

Those of NUCLEO-F446RE (M4) are carried to NUCLEO-L552ZE-Q (M33); the other 2,600 operators test it.

usage: python -m benchmarks.accuracy.cost_new_board [--quick]
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.lib.stack_rows import operators
from benchmarks.lib.stacks import OPERATORS
from benchmarks.lib.verdict import Target, report
from hwkd.cost.fit.calibrate import NEARBY
from hwkd.cost.fit.design import Design
from hwkd.cost.fit.prior import GENERIC
from hwkd.cost.fit.solve import fit_cycles
from hwkd.cost.fit.validate import summarise

CALIBRATION_ROWS = 20


def errors_by_draw(draws: int) -> tuple[float, list[float]]:
    """Return the mean error without calibration, and with each random draw of operators."""
    home, stranger = Design.of(operators("NUCLEO-F446RE")), Design.of(operators("NUCLEO-L552ZE-Q"))
    known = fit_cycles(home, GENERIC, OPERATORS)
    untouched = summarise(stranger.amounts @ known, stranger.cycles).mean_ratio
    errors = []
    for seed in range(draws):
        chosen = np.zeros(stranger.rows, dtype=bool)
        picks = np.random.default_rng(seed).choice(stranger.rows, CALIBRATION_ROWS, replace=False)
        chosen[picks] = True
        fitted = fit_cycles(stranger.take(chosen), known, NEARBY)
        rest = stranger.take(~chosen)
        errors.append(summarise(rest.amounts @ fitted, rest.cycles).mean_ratio)
    return untouched, errors


def targets(draws: int = 20) -> list[Target]:
    """Return the mean over random draws of the 20 operators, and the worst draw."""
    untouched, errors = errors_by_draw(draws)
    print(f"without calibration: {untouched:.1%}")
    what = f"F446 coefficients on L552 from {CALIBRATION_ROWS} operators, mean error"
    return [
        Target(f"{what} over {draws} random draws", float(np.mean(errors)), 0.10),
        Target(f"{what} of the worst draw", max(errors), 0.10),
    ]


if __name__ == "__main__":
    sys.exit(report(targets(3 if "--quick" in sys.argv else 20)))
