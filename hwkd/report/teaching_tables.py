"""What the teacher knew beside labels, and how near the student came to it."""

from __future__ import annotations

from hwkd.core.teaching_record import SoftAnswers, TeachingRecord
from hwkd.report import format as fmt
from hwkd.report.document import Cell, Column, Table


def teaching_tables(found: TeachingRecord | None) -> tuple[Table, ...]:
    """Return teacher beside student, and hard beside soft targets; none without a teacher."""
    return () if found is None else (_beside(found), _targets(found.teacher))


def _beside(found: TeachingRecord) -> Table:
    def row(name: str, said: SoftAnswers) -> tuple[Cell, ...]:
        return (
            Cell(name),
            Cell(fmt.percent(said.accuracy)),
            Cell(f"{said.entropy_nats:.3f} nats"),
            Cell(f"{said.calibration_error:.3f}"),
        )

    return Table(
        title="Teacher and student, validation",
        columns=(
            Column(title="network"),
            Column(title="right", basis="measured", is_number=True),
            Column(title="mean entropy", basis="measured", is_number=True),
            Column(title="calibration error", basis="measured", is_number=True),
        ),
        rows=(row("teacher, float", found.teacher), row("student, int8", found.student)),
        note=f"They name the same class in {fmt.percent(found.agreement)} of examples. A teacher "
        "whose entropy is near 0 says little more than labels do.",
    )


def _targets(said: SoftAnswers) -> Table:
    rows = tuple(
        (
            Cell(str(each.row)),
            Cell(each.label),
            Cell(", ".join(f"{name} {fmt.percent(share)}" for name, share in each.likeliest)),
            Cell(f"{each.entropy_nats:.3f} nats"),
        )
        for each in said.samples
    )
    return Table(
        title="Hard and soft targets, validation",
        columns=(
            Column(title="example", is_number=True),
            Column(title="label"),
            Column(title="the teacher's classes"),
            Column(title="entropy", basis="measured", is_number=True),
        ),
        rows=rows,
        note="From the answer that the teacher is surest of to the one it is least sure of.",
    )
