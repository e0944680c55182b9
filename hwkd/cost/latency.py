"""Latency of one inference: amounts of work times the cycles that each takes, plain Python.

A search costs a thousand candidates a second, so coefficients are laid out per operator class once
per model and one operator is one short dot product.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from math import exp, hypot, log, sqrt
from operator import mul
from typing import Literal, NamedTuple, TypeAlias

from hwkd.core.device import WORK, FittedRange, FormEvidence, LatencyModel
from hwkd.core.graph import Op, Tensor
from hwkd.core.measure import LatencyEstimate
from hwkd.cost.finer_terms import priced_work
from hwkd.cost.latency_terms import Work

Weakness: TypeAlias = Literal[
    "outside the fitted range",
    "in classes borrowed from another fit",
    "in grouped or transposed convolutions, priced as depthwise ones",
]
# Each end of the interval moves by this (as a natural logarithm) times the share of the latency
# that rests on weak evidence, beside what else is uncertain.
_WIDENING: Mapping[Weakness, float] = {
    # Of classes borrowed from another stack, and of operators a whole `_FAR` outside: half as much
    # again when all of it lies there. Among 38 MLPerf Tiny stacks the speed of one class against
    # the others has a standard deviation of 0.09 to 0.23 by class, so 1.645 x 0.23 = 0.38 covers
    # 90%.
    "outside the fitted range": 0.4,
    "in classes borrowed from another fit": 0.4,
    # Nobody published times of convolutions with several groups of several channels. The same work
    # as a plain convolution costs, on nine of ten of our stacks, between a sixth and six times of
    # what it costs as a depthwise one, and libraries do it either way, or by a reference kernel.
    "in grouped or transposed convolutions, priced as depthwise ones": 1.8,
}
# Terms are sums of work, so they fail little by little: fitted to the smallest quarter of the
# operators of two boards, nine of ten others are within 13% at any size; fitted to the largest
# quarter, within 8% to twice as small, 32% to eight times and 38% to sixteen times. Up to the first
# an operator counts as inside, from the second on it is far.
_NEAR, _FAR = 2.0, 16.0

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
        widening: how far it moves the ends of the interval, as a natural logarithm.
    """

    cycles: float
    form: str
    weakness: Weakness | None = None
    widening: float = 0.0


@dataclass(slots=True)
class Spent:
    """Where the latency of a network goes, in one unit: what its interval is made of.

    Attributes:
        by_form: of each form of operator, as `OpCycles` names them.
        weak: of it on weak evidence, by why.
        widened: sum of each operator's latency times how far it moves the ends.
    """

    by_form: dict[str, float] = field(default_factory=dict)
    weak: dict[Weakness, float] = field(default_factory=dict)
    widened: float = 0.0

    def add(self, cost: OpCycles, unit: float = 1.0) -> None:
        """Count one more operator; `unit` is how much one cycle is."""
        cycles, form, weakness, widening = cost
        amount = cycles * unit
        self.by_form[form] = self.by_form.get(form, 0.0) + amount
        if weakness is not None:
            self.weak[weakness] = self.weak.get(weakness, 0.0) + amount
            self.widened += amount * widening


class _FormBand(NamedTuple):
    """How far one form of operator may be off, laid out for speed.

    Attributes:
        up, down: how far its ends lie from its cycles, as ratios of them.
        deviation: of its logarithm; 0 where nothing is known of it.
    """

    evidence: FormEvidence | None
    up: float = 0.0
    down: float = 0.0
    deviation: float = 0.0

    @classmethod
    def of(cls, known: FormEvidence | None) -> _FormBand:
        if known is None:
            return cls(None)
        deviation = _deviation(known)
        reach = _NORMAL_TAIL * deviation
        return cls(known, exp(reach) - 1, 1 - exp(-reach), deviation)


class LatencyTable:
    """One latency model laid out for speed; it remembers what it was asked for."""

    def __init__(self, model: LatencyModel) -> None:
        self.model = model  # kept, or another one might be found under its identity
        self._found: dict[Hashable, OpCycles | None] = {}
        self._ranges = model.fitted_range
        self._evidence = model.evidence
        self._bands: dict[str, _FormBand] = {}
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
            op.dilation, op.groups, op.zero_out_channels, len(op.outputs), *shapes,
        )  # fmt: skip
        try:
            return self._found[key]
        except KeyError:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            found = self._found[key] = self._op_cycles(op, tensors)
            return found

    def band(self, form: str) -> _FormBand:
        """Return how far a form may be off."""
        found = self._bands.get(form)
        if found is None:
            found = self._bands[form] = _FormBand.of(_known(self.model, form))
        return found

    def _op_cycles(self, op: Op, tensors: Mapping[str, Tensor]) -> OpCycles | None:
        work = priced_work(op, tensors, self._cycles)
        per_unit = None if work is None else self._cycles.get(work.op_class)
        if work is None or per_unit is None:
            return None
        cycles, form = sum(map(mul, work.amounts, per_unit)), work.form
        known = self._evidence.get(form)
        if known is None:
            form = f"{form}, other {work.op_class}"
        else:
            cycles *= known.factor
        why: Weakness = "in grouped or transposed convolutions, priced as depthwise ones"
        if work.is_stand_in:
            return OpCycles(cycles, form, why, _WIDENING[why])
        distance = _distance(work, self._ranges.get(work.op_class))
        if distance <= _NEAR:
            return OpCycles(cycles, form)
        why = "outside the fitted range"
        if work.op_class in self.model.borrowed:
            why = "in classes borrowed from another fit"
        return OpCycles(cycles, form, why, _WIDENING[why] * min(log(distance) / log(_FAR), 1.0))


def with_interval(model: LatencyModel, spent: Spent, basis: str) -> LatencyEstimate:
    """Return the latency with its 90% interval, wider where the model extrapolates.

    What networks differ by, what is not known of their forms and what lies outside the fitted range
    have nothing to do with each other: their squares are added.

    Args:
        spent: seconds, by form of operator.
    """
    table = LatencyTable.of(model)
    value_s = sum(spent.by_form.values())
    per_s = 1.0 / value_s if value_s else 0.0
    by_form = {form: part * per_s for form, part in spent.by_form.items()}
    parts = ((why, part * per_s) for why, part in spent.weak.items())
    weak: dict[str, float] = {why: share for why, share in parts if share > _NEGLIGIBLE}
    widening = spent.widened * per_s
    if weak:
        shares = " and ".join(f"{share:.0%} of it {why}" for why, share in weak.items())
        basis += f"; {shares}, interval widened"
    untimed = _never_timed(table, by_form)
    if untimed:
        basis += f"; never timed: {', '.join(_band(model, *item) for item in untimed.items())}"
    below, above = _spread_of(table, by_form)
    low, high = log(model.interval.low_ratio), log(model.interval.high_ratio)
    return LatencyEstimate(
        value_s=value_s,
        low_s=value_s * exp(-hypot(low, log(1.0 - below), widening)),
        high_s=value_s * exp(hypot(high, log(1.0 + above), widening)),
        basis=basis,
        is_extrapolated=bool(weak or untimed),
        never_timed=_by_name(untimed),
        borrowed=_borrowed(table, by_form),
        weak_shares=weak,
    )


def _known(model: LatencyModel, form: str) -> FormEvidence | None:
    return model.evidence.get(form) or model.evidence.get(form.rpartition(", ")[2])


def _deviation(known: FormEvidence) -> float:
    return sqrt(known.spread**2 + sum([part * part for part in known.shared]))


def _never_timed(table: LatencyTable, by_form: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of forms that the fit has no row of, the small ones left out."""
    found: dict[str, float] = {}
    for form, share in by_form.items():
        if share > _NEGLIGIBLE:
            known = table.band(form).evidence
            if known is not None and not known.rows:
                found[form] = share
    return found


def _by_name(shares: Mapping[str, float]) -> dict[str, float]:
    """Add up the shares of forms of one name: a MatMul by weights and one of two maps are two."""
    found: dict[str, float] = {}
    for form, share in shares.items():
        name = form.partition(", ")[0]
        found[name] = found.get(name, 0.0) + share
    return found


def _borrowed(table: LatencyTable, by_form: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of the classes that no row of the fit holds, the small ones left out."""
    borrowed = table.model.borrowed
    found: dict[str, float] = {}
    for form, share in by_form.items() if borrowed else ():
        known = table.band(form).evidence
        op_class = form.rpartition(", other ")[2] if known is None else known.op_class
        if op_class in borrowed:
            found[op_class] = found.get(op_class, 0.0) + share
    return {op_class: share for op_class, share in found.items() if share > _NEGLIGIBLE}


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


def _spread_of(table: LatencyTable, by_form: Mapping[str, float]) -> tuple[float, float]:
    """Return how far below and above the latency may be for what is not known of its forms.

    Forms are as wrong together as the fit found: shares of one direction are added before they are
    squared, so a form that is too dear may make up for one that is too cheap, and nothing averages
    away. A form whose cycles are a guess stretches its own end by its factor and not by its share
    of the logarithm.
    """
    if not table.model.evidence:
        return 0.0, 0.0
    lower: list[float] = []
    upper: list[float] = []
    own_lower = own_upper = 0.0
    for form, share in by_form.items():
        known, far_up, far_down, deviation = table.band(form)
        if known is None or not deviation:
            continue
        up, down = share * far_up / deviation, share * far_down / deviation
        own_upper += (up * known.spread) ** 2
        own_lower += (down * known.spread) ** 2
        shared = known.shared
        if not upper:
            upper, lower = [0.0] * len(shared), [0.0] * len(shared)
        for j, part in enumerate(shared):
            upper[j] += up * part
            lower[j] += down * part
    above = sqrt(own_upper + sum([part * part for part in upper]))
    below = sqrt(own_lower + sum([part * part for part in lower]))
    return min(below, _FURTHEST_BELOW), above


def _distance(work: Work, fitted: FittedRange | None) -> float:
    """Return how many times smaller or larger than all that was timed; at most 1 inside."""
    if fitted is None:
        return _FAR
    (size_low, size_high), (depth_low, depth_high) = fitted.macs, fitted.depth
    size, depth = work.size, work.depth
    if size_low <= size <= size_high and depth_low <= depth <= depth_high:
        return 1.0
    return max(size_low / size, size / size_high, depth_low / depth, depth / depth_high)
