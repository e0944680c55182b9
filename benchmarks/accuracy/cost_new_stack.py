"""A new software stack from one measured model: the other three MLPerf Tiny models predicted.

Every stack of the MLPerf Tiny rows takes its turn as the new one. Known to it are the other
software's fits (no version of the same name and number on any core); measured is vww01 alone.

usage: python -m benchmarks.accuracy.cost_new_stack [--calibrate-with kws01]
"""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import cache

import numpy as np

from benchmarks.lib.published import ModelRow, mlperf_rows
from benchmarks.lib.stack_rows import MLPERF_NOISE, models
from benchmarks.lib.stacks import MODELS
from benchmarks.lib.verdict import Target, report
from hwkd.cost.fit.calibrate import calibrate
from hwkd.cost.fit.design import Array, Design
from hwkd.cost.fit.prior import GENERIC
from hwkd.cost.fit.solve import fit_cycles

_MODELS = ("ad01", "ic01", "kws01", "vww01")
_CORES = {"L4R5": "M4", "CY8C": "M4", "H7A3": "M7", "U575": "M33", "U585": "M33", "RA6M4": "M33"}

Key = tuple[str, str, str]  # core, board, software


@cache
def stacks() -> dict[Key, Design]:
    """Return the four models of each (core, board, software) that has them all."""
    rows: dict[Key, dict[str, ModelRow]] = defaultdict(dict)
    for row in mlperf_rows():
        core = next((name for part, name in _CORES.items() if part in row.board), None)
        if core is not None and row.model in _MODELS:
            board = row.board.upper().removesuffix("-Q").removesuffix("-P")
            rows[core, board, row.software].setdefault(row.model, row)
    return {
        key: Design.of(models([found[m] for m in _MODELS], MLPERF_NOISE))
        for key, found in rows.items()
        if len(found) == len(_MODELS)
    }


@cache
def _fitted(key: Key) -> Array:
    return fit_cycles(stacks()[key], GENERIC, MODELS)


def errors_of(key: Key, measured: str) -> Array:
    """Return the errors of the three models that were not measured on one stack."""
    design = stacks()[key]
    is_measured = np.array([model == measured for model in _MODELS])
    version = key[2].replace(".0.0", ".0")
    others = [k for k in stacks() if k[2].replace(".0.0", ".0") != version]
    known = [_fitted(other) for other in others]
    same_core = [other[0] == key[0] for other in others]
    per_unit = calibrate(design.take(is_measured), known, same_core)
    rest = design.take(~is_measured)
    return np.abs(rest.amounts @ per_unit / rest.cycles - 1.0)


def targets(measured: str = "vww01") -> list[Target]:
    """Return the mean error by core."""
    by_core: dict[str, list[float]] = defaultdict(list)
    for key in stacks():
        found = errors_of(key, measured)
        by_core[key[0]] += list(found)
        print(f"  {found.mean():6.1%}  {' / '.join(key)}")
    return [
        Target(f"{core}, {len(found)} models of new stacks, from {measured}, mean error",
               float(np.mean(found)), 0.10)
        for core, found in sorted(by_core.items())
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(report(targets(sys.argv[2] if "--calibrate-with" in sys.argv else "vww01")))
