"""Fits of stacks, with all their relatives, to all rows or to those without some labels."""

from __future__ import annotations

from functools import cache

from benchmarks.lib.related_fits import Fitted, RelatedRows, fit_related
from benchmarks.lib.stacks import STACKS, Stack
from hwkd.core.device import Interval, LatencyModel
from hwkd.cost.fit.describe import describe_fit
from hwkd.cost.fit.design import Measurement


def relatives_of(stack: Stack) -> tuple[Stack, ...]:
    """Return the stacks that are fitted together with one, itself included."""
    if not stack.relatives:
        return (stack,)
    return tuple(other for other in STACKS if other.relatives == stack.relatives)


@cache
def fits(relatives: tuple[Stack, ...], without: frozenset[str] = frozenset()) -> list[Fitted]:
    """Return the fits of stacks that belong together, to all rows without some labels."""
    first = relatives[0]
    rows = [
        RelatedRows(version=stack.runtime, core=stack.core, rows=_kept(stack, without))
        for stack in relatives
    ]
    return fit_related(rows, first.prior, first.kinship)


def _kept(stack: Stack, without: frozenset[str]) -> list[Measurement]:
    return [row for row, labels in stack.measured if not without & labels]


def fitted(stack: Stack, without: frozenset[str] = frozenset()) -> Fitted:
    """Return one stack's fit, with all its relatives, to all rows without some labels."""
    together = relatives_of(stack)
    return fits(together, without)[together.index(stack)]


def model_of(
    stack: Stack, interval: Interval, without: frozenset[str] = frozenset()
) -> LatencyModel:
    """Return a stack's latency model, fitted to all rows without some labels."""
    found = fitted(stack, without)
    others = [other for other in relatives_of(stack) if other is not stack]
    return describe_fit(
        found.cycles_per_unit, _kept(stack, without), fitted_on=stack.fitted_on,
        source=stack.source, error_ratio=None, validation="", interval=interval,
        evidence=found.evidence,
        of_relatives=[row for other in others for row in _kept(other, without)],
    )  # fmt: skip
