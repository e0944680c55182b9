"""Latency of one inference: amounts of work times the cycles that each takes, plain Python.

A search costs a thousand candidates a second, so coefficients are laid out per operator class once
per model and one operator is one short dot product.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import mul

from hwkd.core.device import FittedRange, LatencyModel
from hwkd.core.graph import Op, Tensor
from hwkd.core.measure import LatencyEstimate
from hwkd.cost.latency_terms import CLASS_TERMS, Work, op_work

__all__ = ["LatencyTable", "with_interval"]

# Outside the fitted range the interval's ratios are raised to 1 + this times the share of the
# latency that lies outside, so a network that lies wholly outside has them cubed.
_WIDENING = 2.0
# An operator up to twice as large as any fitted one counts as inside: the terms are sums of work.
_TOLERANCE = 2.0


class LatencyTable:
    """One latency model laid out for speed."""

    def __init__(self, model: LatencyModel) -> None:
        self._kinds = model.kinds
        self._ranges = model.fitted_range
        self._coefficients = {
            op_class: tuple(model.cycles.get(term, 0.0) for term in terms)
            for op_class, terms in CLASS_TERMS.items()
        }

    def op_cycles(self, op: Op, tensors: Mapping[str, Tensor]) -> tuple[float, bool] | None:
        """Return (cycles, is inside the fitted range) of one operator; None without a cost."""
        if op.kind not in self._kinds:
            return None
        work = op_work(op, tensors)
        if work is None:
            return None
        cycles = sum(map(mul, work.amounts, self._coefficients[work.op_class]))
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
    widening = 1.0 + _WIDENING * share
    if share > 0.0:
        basis += f"; {share:.0%} of it outside the fitted range, interval widened"
    return LatencyEstimate(
        value_s=value_s,
        low_s=value_s * model.interval.low_ratio**widening,
        high_s=value_s * model.interval.high_ratio**widening,
        basis=basis,
        is_extrapolated=share > 0.0,
    )


def _is_inside(work: Work, fitted: FittedRange | None) -> bool:
    if fitted is None:
        return False
    (size_low, size_high), (depth_low, depth_high) = fitted.macs, fitted.depth
    return (
        size_low / _TOLERANCE <= work.size <= size_high * _TOLERANCE
        and depth_low / _TOLERANCE <= work.depth <= depth_high * _TOLERANCE
    )
