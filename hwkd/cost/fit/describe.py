"""A fit as the `LatencyModel` that a device file carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwkd.core.device import FormEvidence, Interval, LatencyModel
from hwkd.cost.fit.design import Array, Measurement, as_table, fitted_range
from hwkd.cost.fit.validate import interval_ratios


def describe_fit(
    cycles_per_unit: Array,
    measurements: Sequence[Measurement],
    *,
    fitted_on: str,
    source: str,
    error_ratio: float | None,
    validation: str,
    interval: Interval,
    evidence: Mapping[str, FormEvidence] | None = None,
    of_relatives: Sequence[Measurement] = (),
) -> LatencyModel:
    """Return a latency model with the coefficients and where they come from.

    Args:
        cycles_per_unit: in the order of `COLUMNS`.
        measurements: what they were fitted to; operator classes that no row contains, of this stack
            or its relatives, are marked as borrowed from the stack that the fit started from.
        fitted_on: the measurements in words.
        source: where they were published, or the file that held them.
        error_ratio: mean absolute error of rows never seen.
        interval: 90% interval of a whole network.
        evidence: of each form of operator, where the fit tells them apart.
        of_relatives: rows of stacks that were fitted together with this one. Kernels of one library
            grow alike with their size on every core, so what these hold is no extrapolation.
    """
    table = as_table(cycles_per_unit)
    ranges = fitted_range([*measurements, *of_relatives], table)
    return LatencyModel(
        cycles=table,
        borrowed=tuple(sorted(set(table) - set(ranges))),
        fitted_on=fitted_on,
        measurements=len(measurements),
        error_ratio=None if error_ratio is None else round(error_ratio, 4),
        validation=validation,
        interval=interval,
        fitted_range=ranges,
        evidence=dict(evidence or {}),
        source=source,
    )


def describe_interval(measured_over_predicted: Array, calibrated_on: str) -> Interval:
    """Return the 90% interval that held-out predictions showed, rounded outwards to 0.1%."""
    low, high = interval_ratios(measured_over_predicted)
    return Interval(
        low_ratio=round(low - 0.0005, 3),
        high_ratio=round(high + 0.0005, 3),
        calibrated_on=calibrated_on,
    )
