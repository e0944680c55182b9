"""Cycles of exported C: instructions by class, priced as CMSIS-NN's are on silicon.

`benchmarks/facts/c_instructions.csv` holds what CMSIS-NN executes for operators whose cycles are
published, and what our kernels execute for theirs (`python -m tools.c_instructions`). A core's
price of each class is fitted to the first and applied to the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

import numpy as np
from scipy.optimize import least_squares

from benchmarks.lib.c_operators import graph_of_row
from benchmarks.lib.instruction_mix import CLASSES
from benchmarks.lib.published import helium_rows, mlperf_rows, read_csv
from hwkd.core.graph import OpGraph
from hwkd.cost.fit.design import Array

# Cycles of a word moved, a product, a branch and any other instruction, then of a call through
# TensorFlow Lite Micro: what Arm's reference manuals give for code and data without wait states.
MANUAL: Array = np.array([1.5, 1.0, 2.5, 1.0, 3000.0])
# Standard deviations of the logarithms around it; a call is hardly known.
_FREEDOM: Array = np.array([0.4, 0.3, 0.4, 0.3, 1.0])
# Of a row: what one mix of four prices cannot know.
_NOISE = 0.05
_HELIUM = "cortex-m55"
_KEY = ("op", "in_shape_nhwc", "out_shape_nhwc", "kernel", "stride")


@dataclass(frozen=True, kw_only=True)
class CountedOp:
    """One operator whose instructions are counted.

    Attributes:
        core: that executed it.
        graph: the operator.
        amounts: words moved, products, branches, other instructions.
        instructions: all of them; one may move several words.
        kernel: window, for example "3x1"; rows of one are left out together.
        cycles: on silicon; None where nobody published them.
    """

    core: str
    graph: OpGraph
    amounts: Array
    instructions: float
    kernel: str
    cycles: float | None = None


@cache
def counted(core: str, kernels: str) -> tuple[CountedOp, ...]:
    """Return what one library executes on one core, with the cycles of silicon where published."""
    timed = (_timed_helium() if core == _HELIUM else _timed(core)) if kernels != "hwkd" else {}
    found = []
    for row in read_csv("c_instructions.csv"):
        if (row["core"], row["kernels"]) != (core, kernels):
            continue
        cycles = timed.get(tuple(row[name] for name in _KEY))
        found.append(
            CountedOp(
                core=core,
                graph=graph_of_row(row),
                amounts=np.array([float(row[name]) for name in CLASSES]),
                instructions=float(row["instructions"]),
                kernel=row["kernel"],
                cycles=fmean(cycles) if cycles else None,
            )
        )
    return tuple(found)


def _timed_helium() -> dict[tuple[str, ...], list[float]]:
    cycles = [row.cycles for row in helium_rows() if row.graph.ops[0].kind == "Conv"]
    return {("CONV_2D", "32x32x16", "32x32x16", "3x3", "1x1"): cycles}


def _timed(core: str) -> dict[tuple[str, ...], list[float]]:
    boards = {"cortex-m4": "NUCLEO-F446RE", "cortex-m33": "NUCLEO-L552ZE-Q"}
    found: dict[tuple[str, ...], list[float]] = {}
    for row in read_csv("op_cycles.csv"):
        if row["board"] == boards.get(core):
            key = tuple(row[name] for name in _KEY)
            found.setdefault(key, []).append(float(row["cycles"]))
    return found


def prices(rows: Sequence[CountedOp]) -> Array:
    """Return cycles of each class and of a call that explain rows timed on silicon."""
    work = np.array([[*row.amounts, 1.0] for row in rows])
    measured = np.log([row.cycles for row in rows if row.cycles is not None])

    def residuals(z: Array) -> Array:
        predicted = np.log(work @ (MANUAL * np.exp(z * _FREEDOM)))
        return np.concatenate([(predicted - measured) / _NOISE, z])

    fit = least_squares(residuals, np.zeros(len(MANUAL)))
    found: Array = MANUAL * np.exp(fit.x * _FREEDOM)
    return found


def held_out_ratios(core: str) -> Array:
    """Return silicon over prediction of CMSIS-NN's operators, each window left out in turn."""
    rows = counted(core, "cmsis-nn")
    found = []
    for kernel in sorted({row.kernel for row in rows}):
        known = prices([row for row in rows if row.kernel != kernel])
        found += [
            (row.cycles or 0.0) / float([*row.amounts, 1.0] @ known)
            for row in rows
            if row.kernel == kernel
        ]
    return np.array(found)


def over_manual(core: str) -> float:
    """Return silicon over what Arm's manual gives, the mean of CMSIS-NN's operators on a core."""
    rows = counted(core, "cmsis-nn")
    logs = [np.log((row.cycles or 0.0) / float([*row.amounts, 1.0] @ MANUAL)) for row in rows]
    return float(np.exp(np.mean(logs)))


@cache
def m7_over_m4() -> Array:
    """Return cycles on NUCLEO-H7A3ZI-Q over NUCLEO-L4R5ZI, same software and network."""
    cycles: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in mlperf_rows():
        board = next((b for b in ("H7A3ZI", "L4R5ZI") if b in row.board), None)
        if board is not None:
            pair = cycles.setdefault((row.software, row.model), {})
            pair.setdefault(board, []).append(row.cycles)
    both = [pair for pair in cycles.values() if len(pair) == 2]
    return np.array([fmean(pair["H7A3ZI"]) / fmean(pair["L4R5ZI"]) for pair in both])
