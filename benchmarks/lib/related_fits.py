"""Fits stacks that are relatives together: versions of one library on several cores.

The logarithm of each cost is a prior plus deviations that all relatives share, those of a version,
those of a core and those of one stack; each has a part common to everything, one for each operator
class, one for each form of operator, one for each amount of work and one for all that is weights on
their way from memory. A network that was timed with one version on one core so teaches the others
what it costs, as far as they are alike. What is left unknown of a form after the fit is its
evidence: the less was timed of it, the wider.

The most probable deviations are found by Gauss-Newton steps; their covariance is that of the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwkd.core.device import WORK, FormEvidence
from hwkd.cost.fit.design import COLUMNS, Array, Measurement
from hwkd.cost.latency_terms import Work

_STEPS = 25
_SMALL_STEP = 1e-3
_LARGEST_STEP = 1.5
_JITTER = 1e-6
_FIRST = {name: COLUMNS.index((name, WORK[name][0])) for name in WORK}
# Amounts that are weights on their way from memory.
_READING = frozenset({"weight", "streamed_mac"})
# Directions in which forms are wrong together that a file keeps; the rest counts as their own.
_DIRECTIONS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Standard deviations of natural logarithms: common, by class, by form, by amount.

    `reading` is that of what reading weights costs, which how a kernel walks through them decides.
    """

    common: float
    per_class: float
    per_form: float
    per_amount: float
    reading: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinship:
    """How far relatives may be from the prior and from each other.

    Attributes:
        misfit_ratio: how far a network may be from any sum of terms.
        evidence_ratio: what rows left out showed of the standard deviations of this model, which
            knows nothing of how the terms were chosen.
    """

    shared: Level
    version: Level
    core: Level
    own: Level
    misfit_ratio: float
    evidence_ratio: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RelatedRows:
    """One stack and what was timed on it; no row at all is allowed."""

    version: str
    core: str
    rows: Sequence[Measurement]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a fit says of one stack.

    Attributes:
        cycles_per_unit: in the order of `COLUMNS`.
        evidence: form -> its factor and how well it is known.
    """

    cycles_per_unit: Array
    evidence: Mapping[str, FormEvidence]


def fit_related(stacks: Sequence[RelatedRows], prior: Array, kinship: Kinship) -> list[Fitted]:
    """Return the fits of several stacks.

    Args:
        stacks: relatives; at least one row among them.
        prior: cycles per unit to start from, in the order of `COLUMNS`; what is 0 stays 0.
        kinship: how alike they are.
    """
    rows = [row for stack in stacks for row in stack.rows]
    works = [row.works() for row in rows]
    terms = _Terms.of(works, prior)
    start = terms.start(prior)
    amounts = terms.amounts(works)
    parts = _parts(stacks, len(terms.columns))
    work = np.zeros((len(rows), len(stacks) * len(terms.columns)))
    for own, unknowns in parts:
        work[own, unknowns] = amounts[own] * start
    logs = np.log([row.cycles for row in rows])
    variances = np.array([row.noise_ratio**2 + kinship.misfit_ratio**2 for row in rows])
    covariance = terms.covariance(stacks, kinship)
    deviations, left = _most_probable(work, parts, logs, variances, covariance)
    fits = []
    for own, unknowns in parts:
        shown = left[unknowns, unknowns] * kinship.evidence_ratio**2
        fits.append(terms.fitted(start, amounts, own, deviations[unknowns], shown))
    return fits


def _parts(stacks: Sequence[RelatedRows], width: int) -> list[tuple[slice, slice]]:
    """Return the rows of each stack and its unknowns."""
    ends = np.cumsum([len(stack.rows) for stack in stacks]).tolist()
    rows = map(slice, (0, *ends), ends)
    return [(own, slice(i * width, (i + 1) * width)) for i, own in enumerate(rows)]


def _most_probable(
    work: Array,
    parts: Sequence[tuple[slice, slice]],
    logs: Array,
    variances: Array,
    covariance: Array,
) -> tuple[Array, Array]:
    """Return the most probable deviations and what is left of their covariance.

    Args:
        work: [rows, unknowns], cycles at the prior.
        parts: outside of which work is 0: the rows of each stack, and its unknowns.
        logs: [rows], natural logarithms of measured cycles.
        variances: [rows], of them.
        covariance: [unknowns, unknowns], before the rows.
    """
    rows, unknowns = work.shape
    # The smaller system of the two that say the same.
    by_unknowns = rows > unknowns
    before: Array = covariance
    if by_unknowns:
        before = np.array(np.linalg.inv(covariance + _JITTER * np.eye(unknowns)))
    deviations: Array = np.zeros(unknowns)
    for _ in range(_STEPS):
        cycles = work * np.exp(deviations)
        total = cycles.sum(axis=1)
        shares = cycles / total[:, None]
        residual = logs - np.log(total) + shares @ deviations
        if by_unknowns:
            system = _precision(shares, parts, variances, before)
            goal = np.linalg.solve(system, shares.T @ (residual / variances))
        else:
            spread, system = _spread(shares, parts, variances, covariance)
            goal = spread @ np.linalg.solve(system, residual)
        step = goal - deviations
        largest = float(np.abs(step).max())
        deviations = deviations + step * min(1.0, _LARGEST_STEP / max(largest, _SMALL_STEP))
        if largest < _SMALL_STEP:
            break
    if by_unknowns:
        return deviations, np.array(np.linalg.inv(_precision(shares, parts, variances, before)))
    spread, system = _spread(shares, parts, variances, covariance)
    return deviations, np.array(covariance - spread @ np.linalg.solve(system, spread.T))


def _precision(
    shares: Array, parts: Sequence[tuple[slice, slice]], variances: Array, before: Array
) -> Array:
    """Return the inverse of what rows leave of a covariance, of which `before` is the inverse."""
    precision: Array = before.copy()
    for rows, unknowns in parts:
        own = shares[rows, unknowns]
        precision[unknowns, unknowns] += (own.T / variances[rows]) @ own
    return precision


def _spread(
    shares: Array, parts: Sequence[tuple[slice, slice]], variances: Array, covariance: Array
) -> tuple[Array, Array]:
    """Return the covariance of unknowns with rows, [unknowns, rows], and that of the rows."""
    spread: Array = np.empty(shares.T.shape)
    for rows, unknowns in parts:
        spread[:, rows] = covariance[:, unknowns] @ shares[rows, unknowns].T
    return spread, shares @ spread + np.diag(variances)


@dataclass(frozen=True, slots=True)
class _Terms:
    """The unknowns of one stack: every amount of every form, and of the other forms of a class.

    Attributes:
        columns: (form, index in `COLUMNS`) of each.
        forms: form -> operator class, "other CLASS" included.
    """

    columns: tuple[tuple[str, int], ...]
    forms: Mapping[str, str]

    @classmethod
    def of(cls, works: Sequence[Sequence[Work]], prior: Array) -> _Terms:
        priced = {name for i, (name, _) in enumerate(COLUMNS) if prior[i] > 0}
        forms = {f"other {op_class}": op_class for op_class in WORK if op_class in priced}
        seen = {work.form: work.op_class for row in works for work in row}
        forms |= dict(sorted(seen.items()))
        columns = tuple(
            (form, i)
            for form, op_class in forms.items()
            for i, (name, _) in enumerate(COLUMNS)
            if name == op_class and prior[i] > 0
        )
        return cls(columns, forms)

    def start(self, prior: Array) -> Array:
        """Return the prior of each column."""
        return np.array([prior[i] for _, i in self.columns])

    def amounts(self, works: Sequence[Sequence[Work]]) -> Array:
        """Return how much of each term each measured network does."""
        place = {column: j for j, column in enumerate(self.columns)}
        found = np.zeros((len(works), len(self.columns)))
        for number, row in enumerate(works):
            for work in row:
                for i, amount in enumerate(work.amounts, _FIRST[work.op_class]):
                    j = place.get((work.form, i))
                    if j is not None:
                        found[number, j] += amount
        return found

    def covariance(self, stacks: Sequence[RelatedRows], kinship: Kinship) -> Array:
        """Return the covariance of all unknowns before any row."""
        classes = np.array([self.forms[form] for form, _ in self.columns])
        forms = np.array([form for form, _ in self.columns])
        amounts = np.array([i for _, i in self.columns])
        reads = np.array([COLUMNS[i][1] in _READING for _, i in self.columns])

        def block(level: Level) -> Array:
            found: Array = (
                level.common**2
                + level.per_class**2 * (classes[:, None] == classes)
                + level.per_form**2 * (forms[:, None] == forms)
                + level.per_amount**2 * (amounts[:, None] == amounts)
                + level.reading**2 * (reads[:, None] & reads)
            )
            return found

        def alike(names: list[str]) -> Array:
            return np.array(np.equal.outer(names, names), dtype=np.float64)

        versions = alike([stack.version for stack in stacks])
        cores = alike([stack.core for stack in stacks])
        together: Array = (
            np.kron(np.ones_like(versions), block(kinship.shared))
            + np.kron(versions, block(kinship.version))
            + np.kron(cores, block(kinship.core))
            + np.kron(versions * cores, block(kinship.own))
        )
        return together

    def fitted(
        self, start: Array, all_work: Array, own: slice, deviations: Array, left: Array
    ) -> Fitted:
        """Return one stack's cycles, factors and evidence."""
        log_cycles = np.zeros(len(COLUMNS))
        per_unit = np.zeros(len(COLUMNS))
        for (form, i), prior, deviation in zip(self.columns, start, deviations, strict=True):
            if form.startswith("other "):
                log_cycles[i], per_unit[i] = deviation, prior * np.exp(deviation)
        mixes = self._mixes(all_work, start * np.exp(deviations))
        spreads = _directions(mixes @ left @ mixes.T)
        evidence = {}
        own_work = all_work[own]
        for form, (alone, shared) in zip(self.forms, spreads, strict=True):
            places = [j for j, (name, _) in enumerate(self.columns) if name == form]
            factors = [deviations[j] - log_cycles[self.columns[j][1]] for j in places]
            holding = (own_work[:, places] > 0).any(axis=1).sum() if places else 0
            evidence[form] = FormEvidence(
                op_class=self.forms[form],
                rows=int(holding),
                factor=float(f"{np.exp(np.mean(factors)):.4g}") if factors else 1.0,
                spread=alone,
                shared=shared,
            )
        return Fitted(cycles_per_unit=per_unit, evidence=evidence)

    def _mixes(self, work: Array, per_unit: Array) -> Array:
        """Return what share of a form's cycles each term has, in all rows together."""
        cycles = work.sum(axis=0) * per_unit
        mixes = np.zeros((len(self.forms), len(self.columns)))
        for number, (form, op_class) in enumerate(self.forms.items()):
            own = np.array([name == form for name, _ in self.columns])
            weights = np.where(own, cycles, 0.0)
            if not weights.any():  # the mix of the class, or that of one unit of each amount
                usual = {i: 0.0 for name, i in self.columns if name == form}
                for (name, i), amount in zip(self.columns, cycles, strict=True):
                    if self.forms[name] == op_class:
                        usual[i] += amount
                shown = [usual[i] if name == form else 0.0 for name, i in self.columns]
                weights = np.array(shown) if any(shown) else own.astype(np.float64)
            mixes[number] = weights / max(float(weights.sum()), 1e-12)
        return mixes


def _directions(covariance: Array) -> list[tuple[float, tuple[float, ...]]]:
    """Return each form's own standard deviation and its parts of the shared directions."""
    values, vectors = np.linalg.eigh(covariance)
    chosen = np.argsort(values)[::-1][:_DIRECTIONS]
    loads = vectors[:, chosen] * np.sqrt(np.maximum(values[chosen], 0.0))
    # A direction has no sign of its own: the largest part is positive, on every machine.
    loads *= np.where(loads.max(axis=0) < -loads.min(axis=0), -1.0, 1.0)
    own = np.sqrt(np.maximum(np.diag(covariance) - (loads**2).sum(axis=1), 0.0))
    return [
        (round(float(alone), 4), tuple(round(float(load), 4) for load in row))
        for alone, row in zip(own, loads, strict=True)
    ]
