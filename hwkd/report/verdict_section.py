"""Every way in which the student was trained, side by side, and the layers that were compared."""

from __future__ import annotations

from statistics import fmean

from hwkd.core.final_record import FinalRecord
from hwkd.core.metric import Metric
from hwkd.core.verdict_record import ArmRecord, Verdict
from hwkd.report import format as fmt
from hwkd.report.document import Cell, Column, Table


def arm_table(verdict: Verdict) -> Table:
    """List the ways of training, each by its means over the seeds; the one that ships is marked.

    None is where the weights of the brief training ship, which none of these was better than.
    """
    names = [arm.name for arm in verdict.arms]
    is_attacked = any(arm.mean("attacked_int8") is not None for arm in verdict.arms)
    is_rounded = any(arm.rounded for arm in verdict.arms)
    ships = verdict.ships if verdict.weights == "full" else ""
    return Table(
        title=f"Ways of training, {verdict.metric.name}",
        columns=(
            Column(title="training"),
            Column(title="validation, int8", basis="measured", is_number=True),
            Column(title="test, int8", basis="measured", is_number=True),
            Column(title="test, float", basis="measured", is_number=True),
            *(
                Column(title=f"attacked, {kind}", basis="measured", is_number=True)
                for kind in ("int8", "float")
                if is_attacked
            ),
            Column(title="trainings", is_number=True),
            *([Column(title="of these with simulated rounding", is_number=True)] * is_rounded),
        ),
        rows=tuple(
            _row(arm, verdict.metric, ships, is_attacked=is_attacked, is_rounded=is_rounded)
            for arm in verdict.arms
        ),
        marked=frozenset({names.index(ships)} if ships in names else ()),
    )


def pair_tables(final: FinalRecord) -> tuple[Table, ...]:
    """List the layers that feature methods compared; none of other methods."""
    if not final.pairs:
        return ()
    rows = tuple(
        (
            Cell(pair.method),
            Cell(f"{pair.student}: {fmt.shape(pair.student_shape)}"),
            Cell(f"{pair.teacher}: {fmt.shape(pair.teacher_shape)}"),
            Cell(pair.adapter or "nothing"),
        )
        for pair in final.pairs
    )
    return (
        Table(
            title="Layer pairs",
            columns=(
                Column(title="method"),
                Column(title="stage of the student"),
                Column(title="stage of the teacher"),
                Column(title="trained between them"),
            ),
            rows=rows,
            note="Choose your own with --method NAME:pairs=1:2+2:3 or --pair STAGE=PATH.",
        ),
    )


def _row(
    arm: ArmRecord, metric: Metric, ships: str, *, is_attacked: bool, is_rounded: bool
) -> tuple[Cell, ...]:
    attacked = (arm.mean("attacked_int8"), arm.mean("attacked_float")) if is_attacked else ()
    return (
        Cell(f"{arm.name} (ships)" if arm.name == ships else arm.name),
        Cell(_text(metric, arm.mean("validation_int8"))),
        Cell(metric.text(fmean(arm.test_int8))),
        Cell(_text(metric, arm.mean("test_float"))),
        *(Cell(_text(metric, value)) for value in attacked),
        Cell(str(len(arm.scores))),
        *([Cell(str(arm.rounded))] * is_rounded),
    )


def _text(metric: Metric, value: float | None) -> str:
    return "unknown" if value is None else metric.text(value)
