"""How many held-out measurements the 90% interval holds.

Each row's interval comes from residuals of other folds only: single operators from the other four
folds of their board, whole models from the other stacks.

usage: python -m benchmarks.accuracy.cost_intervals [--quick]
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.lib.held_out import (
    OPERATOR_BOARDS,
    X_CUBE_AI,
    held_out_families,
    held_out_operators,
    whole_model_ratios,
)
from benchmarks.lib.stacks import STACKS
from benchmarks.lib.verdict import Target, report
from hwkd.cost.fit.design import Array
from hwkd.cost.fit.validate import interval_ratios


def _inside(ratios: Array, low: float, high: float) -> list[bool]:
    return [bool(low <= ratio <= high) for ratio in ratios]


def operator_coverage(board: str, fit_name: str, every: int) -> list[bool]:
    """Return, for each operator of a board, whether its interval holds the measurement."""
    held = held_out_operators(board, fit_name, every)
    covered: list[bool] = []
    for fold in np.unique(held.folds):
        low, high = interval_ratios(held.ratios[held.folds != fold])
        covered += _inside(held.ratios[held.folds == fold], low, high)
    return covered


def model_coverage() -> list[bool]:
    """Return the same for whole models, a family left out of the fit, a stack of the interval."""
    covered: list[bool] = []
    for stack in STACKS:
        if stack.runtime in X_CUBE_AI:
            low, high = interval_ratios(whole_model_ratios(without=stack.name))
            covered += _inside(held_out_families(stack).ratios, low, high)
    return covered


def targets(every: int = 1) -> list[Target]:
    """Return coverage by kind of row and over all; each must lie in 85 to 95%."""
    kinds = {
        f"operators of {board}": operator_coverage(board, name, every)
        for board, name in OPERATOR_BOARDS
    }
    kinds["whole models"] = model_coverage()
    kinds["all held-out rows"] = [inside for rows in list(kinds.values()) for inside in rows]
    found = []
    for kind, inside in kinds.items():
        what = f"90% interval, {len(inside)} {kind}, share inside"
        share = float(np.mean(inside))
        found += [Target(what, share, 0.85, True), Target(what, share, 0.95)]
    return found


if __name__ == "__main__":
    sys.exit(report(targets(8 if "--quick" in sys.argv else 1)))
