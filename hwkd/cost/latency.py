"""Latency of one inference: amounts of work times the cycles that each takes, plain Python.

A search costs a thousand candidates a second, so coefficients are laid out per operator class once
per model and one operator is one short dot product.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from operator import mul

from hwkd.core.device import WORK, FittedRange, LatencyModel
from hwkd.core.graph import Op, Tensor
from hwkd.core.measure import LatencyEstimate
from hwkd.cost.latency_terms import Work, op_work

__all__ = ["LatencyTable", "with_interval"]

# Outside the fitted range, and in classes borrowed from another stack, each end of the interval
# moves by this (as a natural logarithm) times the share of the latency that lies there: half as
# much again when all of it does. Among 38 MLPerf Tiny stacks the speed of one class against the
# others has a standard deviation of 0.09 to 0.23 by class, so 1.645 x 0.23 = 0.38 covers 90%.
_WIDENING = 0.4
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

    def op_cycles(self, op: Op, tensors: Mapping[str, Tensor]) -> tuple[float, bool] | None:
        """Return (cycles, is inside the fitted range) of one operator; None without a cost."""
        work = op_work(op, tensors)
        per_unit = None if work is None else self._cycles.get(work.op_class)
        if work is None or per_unit is None:
            return None
        cycles = sum(map(mul, work.amounts, per_unit))
        return cycles, _is_inside(work, self._ranges.get(work.op_class))


def with_interval(
    value_s: float, model: LatencyModel, *, outside_s: float, basis: str
) -> LatencyEstimate:
    """Return the latency with its 90% interval, wider where the model extrapolates.

    Args:
        value_s: predicted latency.
        model: what predicted it.
        outside_s: part of `value_s` from operators outside the fitted range.
        basis: what the prediction rests on.
    """
    share = outside_s / value_s if value_s else 0.0
    widening = exp(_WIDENING * share)
    is_extrapolated = share > _NEGLIGIBLE
    if is_extrapolated:
        basis += f"; {share:.0%} of it outside the fitted range, interval widened"
    return LatencyEstimate(
        value_s=value_s,
        low_s=value_s * model.interval.low_ratio / widening,
        high_s=value_s * model.interval.high_ratio * widening,
        basis=basis,
        is_extrapolated=is_extrapolated,
    )


def _is_inside(work: Work, fitted: FittedRange | None) -> bool:
    if fitted is None:
        return False
    (size_low, size_high), (depth_low, depth_high) = fitted.macs, fitted.depth
    return (
        size_low / _TOLERANCE <= work.size <= size_high * _TOLERANCE
        and depth_low / _TOLERANCE <= work.depth <= depth_high * _TOLERANCE
    )
