"""How many held-out measurements the 90% interval holds, and how wide it is.

Families of networks are left out everywhere, and forms of operator one at a time: each row's
interval is that of the latency model fitted without it. The misfit of all networks is the number
that the runtimes' files carry.

usage: python -m benchmarks.accuracy.cost_intervals [--quick]
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.lib.held_out import (
    OPERATOR_BOARDS,
    HeldOut,
    held_out_families,
    held_out_forms,
    held_out_operators,
)
from benchmarks.lib.stacks import stack_named
from benchmarks.lib.verdict import Target, report
from hwkd.cost.fit.validate import interval_ratios

Inside = np.typing.NDArray[np.bool_]
# Median of the last over the first end before forms of operator had evidence of their own.
_WIDTH_BEFORE = 1.269 / 0.784


def operator_coverage(fit_name: str, every: int) -> list[bool]:
    """Return, for each operator of a board, whether its interval holds the measurement."""
    held = held_out_operators(stack_named(fit_name), every)
    covered: list[bool] = []
    for label in sorted(set(held.labels)):
        is_in = np.array(held.labels) == label
        low, high = interval_ratios(held.ratios[~is_in])
        covered += [bool(low <= ratio <= high) for ratio in held.ratios[is_in]]
    return covered


def st_coverage() -> tuple[Inside, Inside, float]:
    """Return which networks and which rows of left-out forms are covered, and the median width."""
    stack = stack_named("cortex-m7.x-cube-ai-8")
    families: HeldOut = held_out_families(stack)
    misfit = max(families.misfit(), 0.05)
    low, high = families.ends(misfit)
    forms = held_out_forms(stack).covered(misfit)
    return families.covered(misfit), forms, float(np.median(high / low))


def targets(every: int = 1) -> list[Target]:
    """Return coverage by kind of row and the width."""
    networks, forms, width = st_coverage()
    kinds: dict[str, list[bool]] = {
        f"operators of {board}": operator_coverage(name, every) for board, name in OPERATOR_BOARDS
    }
    kinds["networks of ST's runtimes, families left out"] = list(networks)
    kinds["networks of ST's runtimes, forms of operator left out"] = list(forms)
    found = []
    for kind, inside in kinds.items():
        what = f"90% interval, {len(inside)} {kind}, share inside"
        share = float(np.mean(inside))
        found += [Target(what, share, 0.85, True), Target(what, share, 0.97)]
    what = "median width of the interval, families left out, over that of one interval for all"
    return [*found, Target(what, width / _WIDTH_BEFORE, 1.1, scale=1.0, unit="")]


if __name__ == "__main__":
    sys.exit(report(targets(8 if "--quick" in sys.argv else 1)))
