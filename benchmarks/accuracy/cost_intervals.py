"""How many held-out measurements the 90% interval holds, and how wide it is.

Families of networks are left out everywhere, and forms of operator one at a time: each row's
interval is that of the latency model fitted without it. The misfit of all networks is the number
that the runtimes' files carry.

usage: python -m benchmarks.accuracy.cost_intervals [--quick]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

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
from hwkd.cost.fit.design import Array
from hwkd.cost.fit.validate import interval_ratios

Inside = np.typing.NDArray[np.bool_]
# The one interval of all networks before forms of operator had evidence of their own.
_ENDS_BEFORE = (0.784, 1.269)
_OUTSIDE = 0.1


def operator_coverage(fit_name: str, every: int) -> list[bool]:
    """Return, for each operator of a board, whether its interval holds the measurement."""
    held = held_out_operators(stack_named(fit_name), every)
    covered: list[bool] = []
    for label in sorted(set(held.labels)):
        is_in = np.array(held.labels) == label
        low, high = interval_ratios(held.ratios[~is_in])
        covered += [bool(low <= ratio <= high) for ratio in held.ratios[is_in]]
    return covered


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """Intervals of rows left out.

    Attributes:
        inside: which rows they hold.
        width: median of the upper over the lower end.
        score: mean interval score over that of the one interval of all networks.
    """

    inside: Inside
    width: float
    score: float


def st_coverage() -> tuple[Covered, Covered]:
    """Return what the intervals hold: families of networks left out, forms of operator left out."""
    stack = stack_named("cortex-m7.x-cube-ai-8")
    families = held_out_families(stack)
    misfit = max(families.misfit(), 0.05)
    return _covered(families, misfit), _covered(held_out_forms(stack), misfit)


def _covered(held: HeldOut, misfit: float) -> Covered:
    low, high = held.ends(misfit)
    before = interval_scores(held.ratios, *map(np.asarray, _ENDS_BEFORE))
    return Covered(
        inside=held.covered(misfit),
        width=float(np.median(high / low)),
        score=float(interval_scores(held.ratios, low, high).mean() / before.mean()),
    )


def interval_scores(ratios: Array, low: Array, high: Array) -> Array:
    """Return the interval score of each row, in logarithms; smaller is better.

    A wide interval costs its width; a row outside costs twenty times as far as it is outside.

    Args:
        ratios: measured over predicted.
        low: lower ends over the prediction.
        high: upper ends over the prediction.

    Source:
        Gneiting and Raftery 2007, JASA 102, section 6.2, with 10% outside.
    """
    logs, ends = np.log(ratios), (np.log(low), np.log(high))
    outside = np.maximum(ends[0] - logs, 0.0) + np.maximum(logs - ends[1], 0.0)
    return np.asarray(ends[1] - ends[0] + 2 / _OUTSIDE * outside)


def targets(every: int = 1) -> list[Target]:
    """Return coverage by kind of row, width and interval score."""
    networks, forms = st_coverage()
    kinds: dict[str, list[bool]] = {
        f"operators of {board}": operator_coverage(name, every) for board, name in OPERATOR_BOARDS
    }
    kinds["networks of ST's runtimes, families left out"] = list(networks.inside)
    kinds["networks of ST's runtimes, forms of operator left out"] = list(forms.inside)
    found = []
    for kind, inside in kinds.items():
        what = f"90% interval, {len(inside)} {kind}, share inside"
        share = float(np.mean(inside))
        found += [Target(what, share, 0.87, True), Target(what, share, 0.95)]
    of_all = "left out, over that of one interval for all"
    width = networks.width / (_ENDS_BEFORE[1] / _ENDS_BEFORE[0])
    for what, reached, limit in (
        (f"median width of the interval, families {of_all}", width, 1.1),
        (f"interval score, families {of_all}", networks.score, 1.0),
        (f"interval score, forms of operator {of_all}", forms.score, 1.0),
    ):
        found.append(Target(what, reached, limit, scale=1.0, unit=""))
    return found


if __name__ == "__main__":
    sys.exit(report(targets(8 if "--quick" in sys.argv else 1)))
