"""Every trial of a search as a CSV file in SI units."""

from __future__ import annotations

import csv
from pathlib import Path

from hwkd.core.metric import Metric
from hwkd.core.trial import TrialRecord
from hwkd.io.paths import written_atomically
from hwkd.report.document import Report


def write_trials_csv(report: Report, path: Path) -> None:
    """Write all trials by number, whole or not at all.

    The heading of the latency says how it came about; seconds and bytes are
    plain numbers; an error is 0 at best, and 1 for knowing nothing. What is unknown is empty.
    """
    basis, metric = report.run.device.basis, report.run.data.metric
    heading = (
        "trial",
        "state",
        "space",
        "on_front",
        "validation_error_int8",
        f"validation_{metric.key}_int8",
        "objective",
        f"{basis.name}_latency_s",
        f"{basis.size_key}_peak_ram_bytes",
        f"{basis.size_key}_flash_bytes",
        "macs",
        "reason",
    )
    front = {point.trial for point in report.front}
    with (
        written_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heading)
        for record in report.records:
            writer.writerow(_row(record, metric, is_on_front=record.number in front))


def _row(record: TrialRecord, metric: Metric, *, is_on_front: bool) -> tuple[object, ...]:
    cost, objective = record.cost, record.objective
    latency_s = record.latency_s
    scores = None if record.scores is None else record.scores.validation_int8
    return (
        record.number,
        record.state,
        "" if record.spec is None else record.spec.space,
        "yes" if is_on_front else "no",
        "" if objective is None else f"{objective.task_error:.6g}",
        "" if scores is None else f"{metric.of(scores):.6g}",
        "" if objective is None else f"{objective.value:.6g}",
        "" if latency_s is None else f"{latency_s:.6g}",
        "" if cost is None else cost.peak_ram_bytes,
        "" if cost is None else cost.flash_bytes,
        "" if cost is None else cost.macs,
        record.reason or "",
    )
