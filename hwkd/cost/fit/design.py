"""Measurements as a linear system: amounts of work times unknown cycles equal measured cycles."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hwkd.core.device import WORK, FittedRange, FormEvidence
from hwkd.core.graph import OpGraph
from hwkd.cost.finer_terms import FINER_CLASSES, priced_work
from hwkd.cost.latency_terms import Work

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
    _works: dict[frozenset[str], tuple[Work, ...]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def works(self, priced: Container[str] = ()) -> tuple[Work, ...]:
        """Return the work of its operators that have any, found once for hundreds of fits.

        Args:
            priced: operator classes of the fit, where it has finer ones.
        """
        finer = frozenset(name for name in FINER_CLASSES if name in priced)
        if finer not in self._works:
            found = (priced_work(op, self.graph.tensors, finer) for op in self.graph.ops)
            self._works[finer] = tuple(work for work in found if work is not None)
        return self._works[finer]


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
            amounts=np.array([_amounts(row, factors, priced) for row in measurements]),
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
        for work in row.works(priced):
            seen.setdefault(work.op_class, []).append((work.size, work.depth))
    return {
        op_class: FittedRange(
            macs=(min(s for s, _ in sizes), max(s for s, _ in sizes)),
            depth=(min(d for _, d in sizes), max(d for _, d in sizes)),
        )
        for op_class, sizes in seen.items()
    }


def _amounts(row: Measurement, factors: Mapping[str, float], priced: Container[str]) -> Array:
    amounts = np.zeros(len(COLUMNS))
    for work in row.works(priced):
        first = _FIRST_COLUMN[work.op_class]
        factor = factors.get(work.form, 1.0)
        amounts[first : first + len(work.amounts)] += factor * np.array(work.amounts)
    return amounts
