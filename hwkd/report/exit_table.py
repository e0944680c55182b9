"""The file with exits: what stopping early costs in accuracy and saves in work."""

from __future__ import annotations

from hwkd.core.final_record import ExitPointRecord, ExitsRecord
from hwkd.report import format as fmt
from hwkd.report.document import Cell, Column, Table


def exit_tables(exits: ExitsRecord | None) -> tuple[Table, ...]:
    """Return the front of thresholds and what the chosen one does on test; none without exits."""
    if exits is None:
        return ()
    points = [*exits.front, exits.validation]
    rows = [_row("validation", point) for point in points]
    rows.append(_row("test", exits.test))
    return (
        Table(
            title="Stopping at the first sure exit",
            columns=(
                Column(title="split"),
                Column(title="entropy below", is_number=True),
                Column(title="accuracy, int8", basis="measured", is_number=True),
                Column(title="leave by " + ", ".join(exits.outputs), is_number=True),
                Column(title="mean cost of the whole", is_number=True),
            ),
            rows=tuple(rows),
            marked=frozenset({len(points) - 1, len(points)}),
            note=f"Costs are {exits.cost_basis}. The marked threshold is in student_exits_int8.onnx"
            f", whose C stops by it; without stopping, test accuracy is "
            f"{100 * exits.test_whole_ratio:.2f} %.",
        ),
    )


def _row(split: str, point: ExitPointRecord) -> tuple[Cell, ...]:
    return (
        Cell(split),
        Cell(f"{point.threshold:.3f} nats"),
        Cell(f"{100 * point.accuracy_ratio:.2f} %"),
        Cell(", ".join(fmt.percent(share, decimals=0) for share in point.shares)),
        Cell(fmt.percent(point.cost_ratio)),
    )
