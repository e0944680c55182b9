"""Predictions of rows that a fit has not seen: what errors and intervals rest on.

A row is left out with all that has its label: the family of its network, the configuration of an
operator, or a form of operator that it holds. Predictions and intervals are those of the latency
model as it is shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from benchmarks.lib.published import xg24_convolutions
from benchmarks.lib.stack_fits import model_of, relatives_of
from benchmarks.lib.stack_rows import (
    HELIUM_NOISE,
    OTHER_BOARD_NOISE,
    mlperf,
    models,
    operators,
    single_operators,
)
from benchmarks.lib.stacks import OPERATORS, Stack
from hwkd.core.device import Interval, LatencyModel
from hwkd.core.graph import OpGraph
from hwkd.core.measure import LatencyEstimate
from hwkd.cost.fit.design import Array, Design, Measurement
from hwkd.cost.fit.prior import GENERIC
from hwkd.cost.fit.solve import fit_cycles
from hwkd.cost.fit.validate import fold_of
from hwkd.cost.latency import LatencyTable, Spent, with_interval

FOLDS = 5
OPERATOR_BOARDS = (
    ("NUCLEO-F446RE", "cortex-m4.tflm-cmsis-nn"),
    ("NUCLEO-L552ZE-Q", "cortex-m33.tflm-cmsis-nn"),
)
_EXACT = Interval(low_ratio=1.0, high_ratio=1.0, calibrated_on="")
# Above nine in ten: the allowance for what was chosen on these rows.
_COVERED = 0.93
_NORMAL_TAIL = 1.645


@dataclass(frozen=True)
class HeldOut:
    """Predictions beside measurements.

    Attributes:
        rows: measured.
        stacks: where each row was measured.
        labels: what was left out when each row was predicted.
        predicted: cycles.
        low: of the interval, over the prediction, for what the fit does not know alone.
        high: the same, upper end.
    """

    rows: tuple[Measurement, ...]
    stacks: tuple[Stack, ...]
    labels: tuple[str, ...]
    predicted: Array
    low: Array
    high: Array

    @property
    def cycles(self) -> Array:
        """What was measured."""
        return np.array([row.cycles for row in self.rows])

    @property
    def ratios(self) -> Array:
        """Measured over predicted."""
        return self.cycles / self.predicted

    def take(self, chosen: Iterable[bool]) -> HeldOut:
        """Return the rows where `chosen` is true."""
        places = [i for i, is_chosen in enumerate(chosen) if is_chosen]
        return HeldOut(
            rows=tuple(self.rows[i] for i in places),
            stacks=tuple(self.stacks[i] for i in places),
            labels=tuple(self.labels[i] for i in places),
            predicted=self.predicted[places],
            low=self.low[places],
            high=self.high[places],
        )

    def of(self, stack: Stack) -> HeldOut:
        """Return the rows of one stack."""
        return self.take(other is stack for other in self.stacks)

    def ends(self, misfit: float) -> tuple[Array, Array]:
        """Return the ends of the intervals over the predictions, for a misfit of all networks."""
        base = _NORMAL_TAIL * misfit
        low, high = np.hypot(np.log(self.low), base), np.hypot(np.log(self.high), base)
        return np.exp(-low), np.exp(high)

    def covered(self, misfit: float) -> Inside:
        """Return which measurements their intervals hold."""
        low, high = self.ends(misfit)
        inside: Inside = (low <= self.ratios) & (self.ratios <= high)
        return inside

    def misfit(self, covered: float = _COVERED) -> float:
        """Return the misfit, a standard deviation of logarithms, that covers a share of the rows.

        Few rows do not show their own tail, so the share of ranks is that of a larger sample.
        """
        logs = np.log(self.ratios)
        own = np.log(np.where(logs > 0, self.high, self.low))
        excess = np.sort(np.maximum(logs**2 - own**2, 0.0))
        rank = min(int(np.ceil(covered * (len(excess) + 1))), len(excess)) - 1
        return float(np.sqrt(excess[rank])) / _NORMAL_TAIL


Inside = np.typing.NDArray[np.bool_]


def predict(model: LatencyModel, graph: OpGraph) -> LatencyEstimate:
    """Return what a latency model says of a fused graph, in cycles."""
    table, spent = LatencyTable(model), Spent()
    for op in graph.ops:
        cost = table.op_cycles(op, graph.tensors)
        if cost is not None:
            spent.add(cost)
    return with_interval(model, spent, "")


def held_out(
    relatives: tuple[Stack, ...],
    left_out: Iterable[tuple[str, frozenset[str]]],
    is_tested: Callable[[Measurement], bool] = lambda _: True,
) -> HeldOut:
    """Return predictions of rows from fits without them.

    Args:
        relatives: stacks that are fitted together.
        left_out: name and labels; the rows with one of the labels are left out and predicted.
        is_tested: rows that are predicted; the others are left out all the same.
    """
    rows, stacks, names, found = [], [], [], []
    for name, labels in left_out:
        for stack in relatives:
            tested = [row for row, own in stack.measured if labels & own and is_tested(row)]
            if not tested:
                continue
            model = model_of(stack, _EXACT, labels)
            for row in tested:
                rows.append(row)
                stacks.append(stack)
                names.append(name)
                found.append(predict(model, row.graph))
    return HeldOut(
        rows=tuple(rows),
        stacks=tuple(stacks),
        labels=tuple(names),
        predicted=np.array([one.value_s for one in found]),
        low=np.array([one.low_s / one.value_s for one in found]),
        high=np.array([one.high_s / one.value_s for one in found]),
    )


def is_timed_by_operator(stack: Stack) -> bool:
    """Tell whether thousands of single operators were timed on a stack."""
    return any(name == stack.name for _, name in OPERATOR_BOARDS)


def is_timed_by_kind(stack: Stack) -> bool:
    """Tell whether most rows of a stack are single operators, few of each kind."""
    alone = [len(row.graph.ops) == 1 for row, _ in stack.measured]
    return not is_timed_by_operator(stack) and 2 * sum(alone) > len(alone)


def _is_network(row: Measurement) -> bool:
    return row.noise_ratio >= HELIUM_NOISE


@cache
def held_out_families(stack: Stack) -> HeldOut:
    """Return predictions of networks of a stack and its relatives, a family left out everywhere.

    Operators timed alone on a board with thousands of them have folds of their own.
    """
    relatives = relatives_of(stack)
    tests = _is_network if is_timed_by_operator(stack) else (lambda _: True)
    groups = {row.group for each in relatives for row, _ in each.measured if tests(row)}
    return held_out(relatives, [(g, frozenset([g])) for g in sorted(groups)], tests)


@cache
def held_out_forms(stack: Stack) -> HeldOut:
    """Return predictions of the same rows, each form of operator left out everywhere."""
    relatives = relatives_of(stack)
    tests = _is_network if is_timed_by_operator(stack) else (lambda _: True)
    rows = [measured for each in relatives for measured in each.measured]
    forms = {label for row, own in rows for label in own - {row.group}}
    kept = [(f, frozenset([f])) for f in sorted(forms) if any(f not in own for _, own in rows)]
    return held_out(relatives, kept, tests)


@cache
def held_out_operators(stack: Stack, every: int = 1) -> HeldOut:
    """Return five-fold predictions of operators timed alone on a board, by configuration.

    Args:
        stack: one whose operators were timed alone.
        every: predict one row in so many, for a quick check.
    """
    configurations = sorted({row.group for row, _ in stack.measured if not _is_network(row)})
    folds = fold_of(configurations, FOLDS)
    names = np.array(configurations)
    left_out = [(f"fold {k + 1}", frozenset(names[folds == k])) for k in range(FOLDS)]
    kept = set(configurations[::every])
    return held_out((stack,), left_out, lambda row: not _is_network(row) and row.group in kept)


@cache
def other_board_ratios() -> Array:
    """Return measured over predicted on M33 boards that the operators were not measured on.

    Only convolutions count: the operators hold no depthwise and no fully connected layer.
    """
    operator_rows = Design.of(operators("NUCLEO-L552ZE-Q"))
    per_unit = fit_cycles(operator_rows, GENERIC, OPERATORS)
    resnet = [row for row in mlperf("EK-RA6M4", "TFLM") if row.model == "ic01"]
    rows = Design.of(
        (
            *models(resnet, OTHER_BOARD_NOISE),
            *single_operators(xg24_convolutions(), OTHER_BOARD_NOISE),
        )
    )
    return rows.cycles / (rows.amounts @ per_unit)
