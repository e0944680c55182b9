"""Latency of one inference: amounts of work times the cycles that each takes, plain Python.

A search costs a thousand candidates a second, so coefficients are laid out per operator class once
per model and one operator is one short dot product.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from operator import mul
from typing import Literal, TypeAlias

from hwkd.core.device import WORK, FittedRange, LatencyModel
from hwkd.core.graph import Op, Tensor
from hwkd.core.measure import LatencyEstimate
from hwkd.cost.latency_terms import Work, op_work

Weakness: TypeAlias = Literal[
    "outside the fitted range", "in grouped convolutions, priced as depthwise ones"
]
# Each end of the interval moves by this (as a natural logarithm) times the share of the latency
# that rests on weak evidence.
_WIDENING: Mapping[Weakness, float] = {
    # Also of classes borrowed from another stack. Half as much again when all of it lies there:
    # among 38 MLPerf Tiny stacks the speed of one class against the others has a standard deviation
    # of 0.09 to 0.23 by class, so 1.645 x 0.23 = 0.38 covers 90%.
    "outside the fitted range": 0.4,
    # Nobody published times of convolutions with several groups of several channels. The same work
    # as a plain convolution costs, on nine of ten of our stacks, between a sixth and six times of
    # what it costs as a depthwise one, and libraries do it either way, or by a reference kernel.
    "in grouped convolutions, priced as depthwise ones": 1.8,
}
# An operator up to twice as large as any fitted one counts as inside: the terms are sums of work.
_TOLERANCE = 2.0

# A share outside the range below this widens the interval by less than it is rounded to.
_NEGLIGIBLE = 0.02


class LatencyTable:
    """One latency model laid out for speed."""

    def __init__(self, model: LatencyModel) -> None:
        self._ranges = model.fitted_range
        self._cycles = {
            name: tuple(table.get(amount, 0.0) for amount in WORK[name])
            for name, table in model.cycles.items()
        }

    def op_cycles(
        self, op: Op, tensors: Mapping[str, Tensor]
    ) -> tuple[float, Weakness | None] | None:
        """Return (cycles, why they are weak evidence) of one operator; None without a cost."""
        work = op_work(op, tensors)
        per_unit = None if work is None else self._cycles.get(work.op_class)
        if work is None or per_unit is None:
            return None
        cycles = sum(map(mul, work.amounts, per_unit))
        if work.is_stand_in:
            return cycles, "in grouped convolutions, priced as depthwise ones"
        is_inside = _is_inside(work, self._ranges.get(work.op_class))
        return cycles, None if is_inside else "outside the fitted range"


def with_interval(
    value_s: float, model: LatencyModel, *, weak_s: Mapping[Weakness, float], basis: str
) -> LatencyEstimate:
    """Return the latency with its 90% interval, wider where the model extrapolates.

    Args:
        value_s: predicted latency.
        model: what predicted it.
        weak_s: parts of `value_s` that rest on weak evidence, by why.
        basis: what the prediction rests on.
    """
    shares = {why: part / value_s for why, part in weak_s.items()} if value_s else {}
    widening = exp(sum(_WIDENING[why] * share for why, share in shares.items()))
    weak = [f"{share:.0%} of it {why}" for why, share in shares.items() if share > _NEGLIGIBLE]
    if weak:
        basis += f"; {' and '.join(weak)}, interval widened"
    return LatencyEstimate(
        value_s=value_s,
        low_s=value_s * model.interval.low_ratio / widening,
        high_s=value_s * model.interval.high_ratio * widening,
        basis=basis,
        is_extrapolated=bool(weak),
    )


def _is_inside(work: Work, fitted: FittedRange | None) -> bool:
    if fitted is None:
        return False
    (size_low, size_high), (depth_low, depth_high) = fitted.macs, fitted.depth
    return (
        size_low / _TOLERANCE <= work.size <= size_high * _TOLERANCE
        and depth_low / _TOLERANCE <= work.depth <= depth_high * _TOLERANCE
    )
