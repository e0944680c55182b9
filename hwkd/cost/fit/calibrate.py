"""Carries known stacks to a new one from as many rows as there are, one or thousands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hwkd.core.choices import Dtype, FitKind
from hwkd.core.device import Device, FormEvidence, Interval, LatencyModel
from hwkd.core.errors import ConfigError, OutlierError
from hwkd.core.units import times_text
from hwkd.cost.fit.credible import (
    refuse_another_unit,
    refuse_contradictions,
    refuse_rows_without_cost,
)
from hwkd.cost.fit.describe import describe_fit, describe_interval
from hwkd.cost.fit.design import Array, Design, Measurement, as_table, as_vector
from hwkd.cost.fit.prior import typical_stack
from hwkd.cost.fit.solve import Spread, fit_cycles
from hwkd.cost.fit.validate import fold_of, held_out_predictions, summarise

# How far another board's single operators were from the nearest known stack, class by class.
NEARBY = Spread(common=1.0, per_class=0.3, per_amount=0.5)
# A whole model mixes all classes: few of them cannot tell amounts of one class apart.
WHOLE_MODELS = Spread(common=1.0, per_class=0.1, per_amount=0.05)
# Everything together and nothing else.
_SCALE_ONLY = Spread(common=1.0, per_class=1e-3, per_amount=1e-3)
_FEW_ROWS = 3
_FOLDS = 5
# Factor from which on a row is an outlier: 3.6 deviations of what `NEARBY` lets classes and amounts
# differ by. Milliseconds taken for microseconds are off by 1,000.
_OUTLIER = 8.0
# What counts as worse than the start, which may have been fitted to the same rows: beside noise of
# a few rows left out, calibrating the same board again is allowed.
_WORSE = 1.1
_ROUNDING = 0.02
# Rows below which held-out residuals do not show an interval.
_ROWS_FOR_INTERVAL = 6
# What one measured model of a new stack leaves open: the cases of
# benchmarks/accuracy/cost_new_stack.py, calibrated with vww01 or kws01; nine in ten lie inside.
_ONE_MODEL = Interval(
    low_ratio=0.8, high_ratio=1.2, calibrated_on="new MLPerf Tiny stacks from one measured model"
)


@dataclass(frozen=True)
class KnownStack:
    """A fit to start from.

    Attributes:
        name: device and runtime it belongs to.
        cycles_per_unit: in the order of `COLUMNS`.
        evidence: of forms of operator, of a runtime's own fit.
    """

    name: str
    cycles_per_unit: Array
    same_core: bool
    evidence: Mapping[str, FormEvidence] = field(default_factory=dict)

    @property
    def priced(self) -> frozenset[str]:
        """Operator classes that have cycles."""
        return frozenset(as_table(self.cycles_per_unit))


@dataclass(frozen=True)
class Calibration:
    """What calibrating gave.

    Attributes:
        model: to be written into the device file.
        error_before_ratio: mean absolute error of the starting coefficients on all rows.
        error_after_ratio: cross-validated; None with too few rows to leave any out.
    """

    model: LatencyModel
    rows: int
    error_before_ratio: float
    error_after_ratio: float | None
    started_from: str


def calibrate(
    design: Design, known: Sequence[Array], same_core: Sequence[bool], spread: Spread | None = None
) -> Array:
    """Return cycles per unit of a new stack.

    Args:
        known: cycles per unit of stacks to start from; with one, that one is scaled.
        same_core: for each of them, whether it ran on the same core.
        spread: how far from them it may be; by default what the number of rows allows.
    """
    largest = int(design.cycles.argmax())
    work, cycles = design.amounts[largest], float(design.cycles[largest])
    start = typical_stack(known, same_core, work, cycles)
    if spread is None:
        spread = WHOLE_MODELS if design.rows <= _FEW_ROWS else NEARBY
    return fit_cycles(design, start, spread)


def known_stacks(
    device: Device, runtime: str, dtype: Dtype, others: Sequence[Device]
) -> list[KnownStack]:
    """Return where a calibration starts: the runtime's own coefficients, or those of all stacks.

    Args:
        runtime: to be calibrated; need not have coefficients yet.
    """
    own = device.runtimes.get(runtime)
    if own is not None and dtype in own.latency:
        model = own.latency[dtype]
        vector = as_vector(model.cycles)
        return [KnownStack(f"{device.name}.{runtime}", vector, True, model.evidence)]
    found: dict[tuple[str, str], KnownStack] = {}
    for other in others:
        for name, stack in other.runtimes.items():
            fitted = stack.latency.get(dtype)
            if fitted is not None and (other.core, name) not in found:
                vector = as_vector(fitted.cycles) * stack.cycles_scale
                same = other.core == device.core
                found[other.core, name] = KnownStack(f"{other.core} {name}", vector, same)
    return list(found.values())


def calibrate_model(
    measurements: Sequence[Measurement],
    known: Sequence[KnownStack],
    *,
    kind: FitKind,
    fitted_on: str,
    source: str,
) -> Calibration:
    """Fit a stack to a user's measurements and test it.

    Args:
        measurements: at least one.
        kind: "scale" moves everything together, "full" every coefficient, "auto" what the rows
            can carry.
        fitted_on: the measurements in words.

    Raises:
        ConfigError: if "full" is asked of rows that cannot tell the coefficients apart, two rows
            contradict each other, or no operator of the measurements has a cost.
    """
    refuse_contradictions(measurements)
    evidence = _own_evidence(known)
    design = Design.of(measurements, evidence, _own_classes(known))
    vectors = [stack.cycles_per_unit for stack in known]
    same_core = [stack.same_core for stack in known]
    spread = _spread(design, kind)
    refuse_rows_without_cost(design, vectors)

    def fit(rows: Design) -> Array:
        return calibrate(rows, vectors, same_core, spread)

    start = _starting_point(vectors, same_core)
    before = summarise(design.amounts @ start, design.cycles).mean_ratio
    after, interval = _tested(design, fit)
    model = describe_fit(
        fit(design), measurements, fitted_on=fitted_on, source=source, error_ratio=after,
        validation="" if after is None else f"rows left out, {_folds(design)} folds",
        interval=interval, evidence=_seen(evidence, measurements, _own_classes(known)),
    )  # fmt: skip
    names = known[0].name if len(known) == 1 else f"the average of {len(known)} published stacks"
    return Calibration(model, design.rows, before, after, names)


def refuse_worse(done: Calibration) -> None:
    """Refuse a fit that predicts rows left out of it worse than what it started from.

    Raises:
        OutlierError: with both errors and what to do.
    """
    before, after = done.error_before_ratio, done.error_after_ratio
    if after is not None and after > _WORSE * before + _ROUNDING:
        raise OutlierError(
            f"{done.rows} rows do not agree on a better fit: mean error of rows left out "
            f"{after:.1%}, of {done.started_from} {before:.1%}; measure more models, or those that "
            "are far off again, or say that the rows are right with --outliers keep"
        )


def refuse_outlier(
    measurements: Sequence[Measurement], known: Sequence[KnownStack], *, file: str
) -> None:
    """Refuse measurements of which one is far from all the others or from every known stack.

    Stacks differ by a common factor and by operator; a row that is off by much more than the others
    beside that factor is a mistake more often than a chip. Fewer than three rows are compared with
    known stacks only: those of the same core where there are any.

    Raises:
        OutlierError: names the row, by how much it is off and what to do.
    """
    design = Design.of(measurements, _own_evidence(known), _own_classes(known))
    if design.rows >= _FEW_ROWS:
        _refuse_far_from_others(design, known, file)
    nearest = [stack for stack in known if stack.same_core] or known
    known_as = nearest[0].name if len(nearest) == 1 else f"{len(nearest)} published stacks"
    vectors = [stack.cycles_per_unit for stack in nearest]
    refuse_another_unit(design, vectors, known_as=known_as, file=file)


def _refuse_far_from_others(design: Design, known: Sequence[KnownStack], file: str) -> None:
    start = _starting_point([k.cycles_per_unit for k in known], [k.same_core for k in known])
    logs = np.log(design.cycles / np.maximum(design.amounts @ start, 1e-12))
    away = np.abs(logs - np.median(logs))
    worst = int(away.argmax())
    others = float(np.delete(away, worst).max())
    if away[worst] > np.log(_OUTLIER) and away[worst] > 2 * others:
        factor = float(np.exp(logs[worst] - np.median(logs)))
        shown = f"{times_text(factor)} times" if factor >= 1 else f"1/{times_text(1 / factor)} of"
        raise OutlierError(
            f"{file}: {design.names[worst]} took {shown} what the other rows say; measure it "
            "again or correct it (is it in another unit?), or say that it is right with "
            "--outliers keep"
        )


def _own_evidence(known: Sequence[KnownStack]) -> Mapping[str, FormEvidence]:
    """Return what the stack that is scaled knows of forms; an average of stacks knows nothing."""
    return known[0].evidence if len(known) == 1 else {}


def _own_classes(known: Sequence[KnownStack]) -> frozenset[str]:
    """Return the classes that a single stack has; an average of stacks has coarse ones."""
    return known[0].priced if len(known) == 1 else frozenset()


def _seen(
    evidence: Mapping[str, FormEvidence],
    measurements: Sequence[Measurement],
    priced: Container[str],
) -> dict[str, FormEvidence]:
    """Return the evidence after measurements: what they hold is as sure as their interval says.

    A form that they hold and the evidence did not list was priced as the others of its class, at a
    factor of 1, and is listed from now on.
    """
    if not evidence:
        return {}
    counted = [work for row in measurements for work in row.works(priced)]
    classes = {work.form: work.op_class for work in counted}
    rows = Counter(work.form for work in counted)
    seen = {
        form: FormEvidence(
            op_class=classes[form], rows=count, spread=0.0,
            factor=evidence[form].factor if form in evidence else 1.0,
        )
        for form, count in rows.items()
    }  # fmt: skip
    return {**evidence, **seen}


def _spread(design: Design, kind: FitKind) -> Spread | None:
    if kind == "auto":
        return None
    if kind == "scale":
        return _SCALE_ONLY
    unknown = int((design.amounts.sum(axis=0) > 0).sum())
    rank = int(np.linalg.matrix_rank(design.amounts / design.cycles[:, None]))
    if rank < min(unknown, _FEW_ROWS + 1):
        raise ConfigError(
            f"{design.rows} measured rows cannot tell {unknown} coefficients apart (rank {rank}); "
            "measure more models (`hwkd devices bench-kit`) or use --fit scale"
        )
    return NEARBY


def _reaching(interval: Interval, measured_over_predicted: Array) -> Interval:
    """Return an interval that also holds rows left out, too few to make one of their own."""
    low, high = float(measured_over_predicted.min()), float(measured_over_predicted.max())
    if interval.low_ratio <= low and high <= interval.high_ratio:
        return interval
    return Interval(
        low_ratio=min(interval.low_ratio, float(f"{low:.3g}")),
        high_ratio=max(interval.high_ratio, float(f"{high:.3g}")),
        calibrated_on=f"{interval.calibrated_on}, and {len(measured_over_predicted)} measured "
        "rows, each left out of the fit",
    )


def _starting_point(vectors: Sequence[Array], same_core: Sequence[bool]) -> Array:
    """Return what would be predicted without the measurements."""
    if len(vectors) == 1:
        return vectors[0]
    kept = [v for v, same in zip(vectors, same_core, strict=True) if same] or list(vectors)
    mean: Array = np.exp(np.mean(np.log(np.maximum(kept, 1e-12)), axis=0))
    return mean


def _folds(design: Design) -> int:
    return min(_FOLDS, len(set(design.groups))) if design.rows >= 2 * _FOLDS else design.rows


def _tested(design: Design, fit: Callable[[Design], Array]) -> tuple[float | None, Interval]:
    if design.rows < _FEW_ROWS:
        return None, _ONE_MODEL
    predicted = held_out_predictions(design, fold_of(design.groups, _folds(design)), fit)
    error = summarise(predicted, design.cycles).mean_ratio
    if design.rows < _ROWS_FOR_INTERVAL:
        return error, _reaching(_ONE_MODEL, design.cycles / predicted)
    words = f"{design.rows} measured rows, each left out of the fit"
    return error, describe_interval(design.cycles / predicted, words)
