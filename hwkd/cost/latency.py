"""Latency of one inference: amounts of work times the cycles that each takes, plain Python.

A search costs a thousand candidates a second, so coefficients are laid out per operator class once
per model and one operator is one short dot product.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import exp, log, sqrt
from operator import mul
from typing import Literal, NamedTuple, TypeAlias

from hwkd.core.device import WORK, FittedRange, FormEvidence, LatencyModel
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

# The lower end stays above this much of the latency.
_FURTHEST_BELOW = 0.9
# Standard deviations between the middle and each end of a 90% interval.
_NORMAL_TAIL = 1.645
# Models whose tables are kept, which are found by identity, and operators that each remembers.
_TABLES: dict[int, LatencyTable] = {}
_MOST_TABLES, _MOST_FOUND = 16, 10_000
# A share outside the range below this widens the interval by less than it is rounded to.
_NEGLIGIBLE = 0.02


class OpCycles(NamedTuple):
    """What one operator costs.

    Attributes:
        form: what kernels tell apart, a key of the model's evidence.
        weakness: why it is weak evidence, or None.
    """

    cycles: float
    form: str
    weakness: Weakness | None


class LatencyTable:
    """One latency model laid out for speed; it remembers what it was asked for."""

    def __init__(self, model: LatencyModel) -> None:
        self.model = model
        self._found: dict[Hashable, OpCycles | None] = {}
        self._ranges = model.fitted_range
        self._evidence = model.evidence
        self._cycles = {
            name: tuple(table.get(amount, 0.0) for amount in WORK[name])
            for name, table in model.cycles.items()
        }

    @classmethod
    def of(cls, model: LatencyModel) -> LatencyTable:
        """Return the table of a model; candidates of a search share one, and most operators."""
        table = _TABLES.get(id(model))
        if table is None:
            if len(_TABLES) >= _MOST_TABLES:
                _TABLES.clear()
            table = _TABLES[id(model)] = cls(model)
        return table

    def op_cycles(self, op: Op, tensors: Mapping[str, Tensor]) -> OpCycles | None:
        """Return the cost of one operator; None for one that has none."""
        shapes = [tensors[name].shape for name in (*op.outputs, *op.inputs)]
        key = (
            op.kind, op.macs, op.weights, op.biases, op.constants, op.kernel, op.stride, op.pads,
            op.dilation, op.groups, op.zero_out_channels, *shapes,
        )  # fmt: skip
        try:
            return self._found[key]
        except KeyError:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            found = self._found[key] = self._op_cycles(op, tensors)
            return found

    def _op_cycles(self, op: Op, tensors: Mapping[str, Tensor]) -> OpCycles | None:
        work = op_work(op, tensors)
        per_unit = None if work is None else self._cycles.get(work.op_class)
        if work is None or per_unit is None:
            return None
        cycles, form = sum(map(mul, work.amounts, per_unit)), work.form
        known = self._evidence.get(form)
        if known is None:
            form = f"{form}, other {work.op_class}"
        else:
            cycles *= known.factor
        if work.is_stand_in:
            return OpCycles(cycles, form, "in grouped convolutions, priced as depthwise ones")
        if _is_inside(work, self._ranges.get(work.op_class)):
            return OpCycles(cycles, form, None)
        return OpCycles(cycles, form, "outside the fitted range")


def with_interval(
    model: LatencyModel,
    form_s: Mapping[str, float],
    weak_s: Mapping[Weakness, float],
    basis: str,
) -> LatencyEstimate:
    """Return the latency with its 90% interval, wider where the model extrapolates.

    Args:
        form_s: latency by form of operator, as `OpCycles` names them.
        weak_s: parts of it that rest on weak evidence, by why.
    """
    value_s = sum(form_s.values())
    by_form = {form: part / value_s for form, part in form_s.items()} if value_s else {}
    shares = {why: part / value_s for why, part in weak_s.items()} if value_s else {}
    widening = exp(sum(_WIDENING[why] * share for why, share in shares.items()))
    weak = [f"{share:.0%} of it {why}" for why, share in shares.items() if share > _NEGLIGIBLE]
    if weak:
        basis += f"; {' and '.join(weak)}, interval widened"
    untimed = _never_timed(model, by_form)
    if untimed:
        basis += f"; never timed: {', '.join(_band(model, *item) for item in untimed.items())}"
    below, above = _spread_of(model, by_form)
    low, high = log(model.interval.low_ratio), log(model.interval.high_ratio)
    return LatencyEstimate(
        value_s=value_s,
        low_s=value_s * exp(-sqrt(low * low + log(1.0 - below) ** 2)) / widening,
        high_s=value_s * exp(sqrt(high * high + log(1.0 + above) ** 2)) * widening,
        basis=basis,
        is_extrapolated=bool(weak or untimed),
        never_timed={form.partition(", ")[0]: share for form, share in untimed.items()},
    )


def _known(model: LatencyModel, form: str) -> FormEvidence | None:
    return model.evidence.get(form) or model.evidence.get(form.rpartition(", ")[2])


def _deviation(known: FormEvidence) -> float:
    return sqrt(known.spread**2 + sum([part * part for part in known.shared]))


def _never_timed(model: LatencyModel, by_form: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of forms that the fit has no row of, the small ones left out."""
    found: dict[str, float] = {}
    for form, share in by_form.items():
        known = _known(model, form)
        if known is not None and not known.rows and share > _NEGLIGIBLE:
            found[form] = share
    return found


def _band(model: LatencyModel, form: str, share: float) -> str:
    """Return what stands in for a form that was never timed, and how far it may be off."""
    known = _known(model, form)
    if known is None:
        return form
    reach = exp(_NORMAL_TAIL * _deviation(known))
    return (
        f"{form.partition(', other ')[0]} ({share:.0%} of it), priced as other "
        f"{known.op_class}: x{1 / reach:.2g} to x{reach:.2g}"
    )


def _spread_of(model: LatencyModel, by_form: Mapping[str, float]) -> tuple[float, float]:
    """Return how far below and above the latency may be for what is not known of its forms.

    Forms are as wrong together as the fit found: shares of one direction are added before they are
    squared, so a form that is too dear may make up for one that is too cheap, and nothing averages
    away. A form whose cycles are a guess stretches its own end by its factor and not by its share
    of the logarithm.
    """
    if not model.evidence:
        return 0.0, 0.0
    lower: list[float] = []
    upper: list[float] = []
    own_lower = own_upper = 0.0
    for form, share in by_form.items():
        known = _known(model, form)
        deviation = _deviation(known) if known is not None else 0.0
        if known is None or not deviation:
            continue
        reach = _NORMAL_TAIL * deviation
        up, down = share * (exp(reach) - 1) / deviation, share * (1 - exp(-reach)) / deviation
        own_upper += (up * known.spread) ** 2
        own_lower += (down * known.spread) ** 2
        if not upper:
            upper, lower = [0.0] * len(known.shared), [0.0] * len(known.shared)
        for j, part in enumerate(known.shared):
            upper[j] += up * part
            lower[j] += down * part
    above = sqrt(own_upper + sum([part * part for part in upper]))
    below = sqrt(own_lower + sum([part * part for part in lower]))
    return min(below, _FURTHEST_BELOW), above


def _is_inside(work: Work, fitted: FittedRange | None) -> bool:
    if fitted is None:
        return False
    (size_low, size_high), (depth_low, depth_high) = fitted.macs, fitted.depth
    return (
        size_low / _TOLERANCE <= work.size <= size_high * _TOLERANCE
        and depth_low / _TOLERANCE <= work.depth <= depth_high * _TOLERANCE
    )
