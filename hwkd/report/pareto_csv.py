"""The Pareto front as a CSV file in SI units."""

from __future__ import annotations

import csv
from pathlib import Path

from hwkd.io.paths import written_atomically
from hwkd.report.document import Report


def write_pareto_csv(report: Report, path: Path) -> None:
    """Write the undominated trials, fastest first, whole or not at all.

    The heading of the latency says how it came about; seconds and bytes are
    plain numbers, errors are 0 to 1.
    """
    basis = report.run.device.basis
    heading = (
        "trial",
        "space",
        "validation_error_int8",
        f"{basis.name}_latency_s",
        f"{basis.size_key}_peak_ram_bytes",
        f"{basis.size_key}_flash_bytes",
    )
    with (
        written_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heading)
        for point in report.front:
            writer.writerow(
                (
                    point.trial,
                    point.space,
                    f"{point.error:.6g}",
                    f"{point.latency_s:.6g}",
                    point.peak_ram_bytes,
                    point.flash_bytes,
                )
            )
