"""Trials and front as columns in SI units: of the CSV files and of the frames of a notebook.

The heading of the latency says how it came about; seconds and bytes are plain numbers; an error is
0 at best, and 1 for knowing nothing. What is unknown is None, and an empty cell in a file.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from hwkd.core.pareto import FrontPoint
from hwkd.core.trial import TrialRecord
from hwkd.io.paths import written_atomically
from hwkd.report.analysis import front_and_best, passes_made
from hwkd.report.document import Report

Columns: TypeAlias = Mapping[str, Sequence[Any]]


def trial_columns(report: Report) -> Columns:
    """Return every trial, by number."""
    basis, metric = report.run.device.basis, report.run.data.metric
    front = {point.trial for point in report.front}

    def score(record: TrialRecord) -> float | None:
        scores = None if record.scores is None else record.scores.validation_int8
        return None if scores is None else metric.of(scores)

    reads: dict[str, Callable[[TrialRecord], Any]] = {
        "trial": lambda r: r.number,
        "state": lambda r: r.state,
        "space": lambda r: None if r.spec is None else r.spec.space,
        "features": lambda r: None if r.spec is None else r.spec.features,
        "on_front": lambda r: r.number in front,
        "validation_error_int8": lambda r: None if r.objective is None else r.objective.task_error,
        f"validation_{metric.key}_int8": score,
        "objective": lambda r: None if r.objective is None else r.objective.value,
        f"{basis.name}_latency_s": lambda r: r.latency_s,
        f"{basis.size_key}_peak_ram_bytes": lambda r: r.cost and r.cost.peak_ram_bytes,
        f"{basis.size_key}_flash_bytes": lambda r: r.cost and r.cost.flash_bytes,
        "macs": lambda r: r.cost and r.cost.macs,
        "reason": lambda r: r.reason or None,
        "passes": lambda r: passes_made(report.run, r),
    }
    return {name: [read(record) for record in report.records] for name, read in reads.items()}


def front_columns(report: Report) -> Columns:
    """Return the undominated trials and the one that ships, fastest first."""
    on_front = {point.trial for point in report.front}
    ships = None if report.run.final is None else report.run.final.trial
    basis = report.run.device.basis
    passes = {record.number: passes_made(report.run, record) for record in report.records}
    reads: dict[str, Callable[[FrontPoint], Any]] = {
        "trial": lambda point: point.trial,
        "space": lambda point: point.space,
        "validation_error_int8": lambda point: point.error,
        f"{basis.name}_latency_s": lambda point: point.latency_s,
        f"{basis.size_key}_peak_ram_bytes": lambda point: point.peak_ram_bytes,
        f"{basis.size_key}_flash_bytes": lambda point: point.flash_bytes,
        "passes": lambda point: passes.get(point.trial),
        "on_front": lambda point: point.trial in on_front,
        "ships": lambda point: point.trial == ships,
    }
    points = front_and_best(report.front, report.best)
    return {name: [read(point) for point in points] for name, read in reads.items()}


def write_csv(columns: Columns, path: Path) -> None:
    """Write columns as a CSV file with a heading, whole or not at all."""
    with (
        written_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(map(_cell, row) for row in zip(*columns.values(), strict=True))


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else value  # None is an empty cell
