"""The table of the ways in which a student was trained."""

from __future__ import annotations

import pytest

from hwkd.core.verdict_record import ArmRecord, ArmScores, Verdict
from hwkd.report.verdict_section import arm_table


def _arm(name: str, *forms: str | None) -> ArmRecord:
    scores = tuple(
        ArmScores(seed=seed, test_int8=0.9, int8_form=form) for seed, form in enumerate(forms)
    )
    return ArmRecord(name=name, scores=scores)


@pytest.mark.parametrize(
    ("forms", "shown"), [(("ptq", "qat", "qat"), ["2", "0"]), (("ptq", None, "ptq"), None)]
)
def test_trainings_with_simulated_rounding_are_marked_where_there_are_any(
    forms: tuple[str | None, ...], shown: list[str] | None
) -> None:
    arms = (_arm("distilled", *forms), _arm("cross-entropy", "ptq", "ptq", "ptq"))
    table = arm_table(Verdict(arms=arms, ships="distilled"))
    assert all(len(row) == len(table.columns) for row in table.rows)
    is_shown = "simulated rounding" in table.columns[-1].title
    assert ([row[-1].text for row in table.rows] if is_shown else None) == shown
