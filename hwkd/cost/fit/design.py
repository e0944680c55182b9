"""Measurements as a linear system: amounts of work times unknown cycles equal measured cycles."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwkd.core.device import WORK, FittedRange, FormEvidence
from hwkd.core.graph import OpGraph
from hwkd.cost.finer_terms import priced_work

Array = npt.NDArray[np.float64]

# One unknown per (operator class, amount), in the order of WORK.
COLUMNS: tuple[tuple[str, str], ...] = tuple(
    (op_class, amount) for op_class, amounts in WORK.items() for amount in amounts
)
_FIRST_COLUMN = {op_class: COLUMNS.index((op_class, WORK[op_class][0])) for op_class in WORK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measured inference of a graph: a single operator or a whole model.

    Attributes:
        graph: after fusion, as the runtime executed it.
        cycles: measured, on the clock of the core.
        group: rows of one group stay together when folds are held out.
        noise_ratio: how far this row may be from the truth of the board that is fitted: timer
            noise of its own rows, differences of boards or settings of others'.
    """

    name: str
    graph: OpGraph
    cycles: float
    group: str
    noise_ratio: float = 0.03


@dataclass(frozen=True, slots=True)
class Design:
    """Measurements in matrix form.

    Attributes:
        amounts: [rows, columns], work of each row by `COLUMNS`.
        cycles: [rows].
        noise: [rows], ratios.
        groups: one per row.
        names: one per row.
    """

    amounts: Array
    cycles: Array
    noise: Array
    groups: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        measurements: Sequence[Measurement],
        evidence: Mapping[str, FormEvidence] | None = None,
        priced: Container[str] = (),
    ) -> Design:
        """Lay out measurements; the work of a form with evidence counts its factor times.

        Args:
            priced: operator classes of the fit, where it has finer ones.
        """
        factors = {form: known.factor for form, known in (evidence or {}).items()}
        return cls(
            amounts=np.array([_amounts(row.graph, factors, priced) for row in measurements]),
            cycles=np.array([row.cycles for row in measurements]),
            noise=np.array([row.noise_ratio for row in measurements]),
            groups=tuple(row.group for row in measurements),
            names=tuple(row.name for row in measurements),
        )

    def take(self, rows: npt.NDArray[np.bool_]) -> Design:
        """Return the rows where `rows` is true."""
        chosen = np.flatnonzero(rows)
        return Design(
            amounts=self.amounts[chosen],
            cycles=self.cycles[chosen],
            noise=self.noise[chosen],
            groups=tuple(self.groups[i] for i in chosen),
            names=tuple(self.names[i] for i in chosen),
        )

    @property
    def rows(self) -> int:
        """Number of measurements."""
        return len(self.groups)


def as_vector(cycles: Mapping[str, Mapping[str, float]]) -> Array:
    """Return cycles per unit in the order of `COLUMNS`; what is not listed is 0."""
    return np.array([cycles.get(name, {}).get(amount, 0.0) for name, amount in COLUMNS])


def as_table(vector: Array) -> dict[str, dict[str, float]]:
    """Return cycles per unit by class and amount, rounded to four digits, zeros left out."""
    table: dict[str, dict[str, float]] = {}
    for (op_class, amount), value in zip(COLUMNS, vector, strict=True):
        if value > 0:
            table.setdefault(op_class, {})[amount] = float(f"{value:.4g}")
    return table


def fitted_range(
    measurements: Sequence[Measurement], priced: Container[str] = ()
) -> dict[str, FittedRange]:
    """Return the smallest and largest operator of each class among the measured ones."""
    seen: dict[str, list[tuple[float, float]]] = {}
    for row in measurements:
        for op in row.graph.ops:
            work = priced_work(op, row.graph.tensors, priced)
            if work is not None:
                seen.setdefault(work.op_class, []).append((work.size, work.depth))
    return {
        op_class: FittedRange(
            macs=(min(s for s, _ in sizes), max(s for s, _ in sizes)),
            depth=(min(d for _, d in sizes), max(d for _, d in sizes)),
        )
        for op_class, sizes in seen.items()
    }


def _amounts(graph: OpGraph, factors: Mapping[str, float], priced: Container[str]) -> Array:
    row = np.zeros(len(COLUMNS))
    for op in graph.ops:
        work = priced_work(op, graph.tensors, priced)
        if work is not None:
            first = _FIRST_COLUMN[work.op_class]
            factor = factors.get(work.form, 1.0)
            row[first : first + len(work.amounts)] += factor * np.array(work.amounts)
    return row
