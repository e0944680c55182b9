"""Single int8 operators on silicon, five folds grouped by configuration.

usage: python -m benchmarks.accuracy.cost_single_operators [--quick]
"""

from __future__ import annotations

import sys

from benchmarks.lib.held_out import OPERATOR_BOARDS, held_out_operators
from benchmarks.lib.stacks import stack_named
from benchmarks.lib.verdict import Target, report
from hwkd.cost.fit.validate import summarise

_WITHIN = {"NUCLEO-F446RE": 0.98, "NUCLEO-L552ZE-Q": 0.97}
_MEAN = {"NUCLEO-F446RE": 0.02, "NUCLEO-L552ZE-Q": 0.025}


def targets(every: int = 1) -> list[Target]:
    """Return the errors of both boards; `every` keeps one row in so many."""
    found = []
    for board, fit_name in OPERATOR_BOARDS:
        held = held_out_operators(stack_named(fit_name), every)
        errors = summarise(held.predicted, held.cycles)
        what = f"{board}, {errors.rows} operators held out"
        found += [
            Target(f"{what}, within 10%", errors.within_10_percent_ratio, _WITHIN[board], True),
            Target(f"{what}, mean error", errors.mean_ratio, _MEAN[board]),
        ]
    return found


if __name__ == "__main__":
    sys.exit(report(targets(8 if "--quick" in sys.argv else 1)))
