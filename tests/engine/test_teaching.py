"""What a report says of a teacher beside its student."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.bars import final_of

from hwkd.core.soft_answers import soft_answers
from hwkd.core.teaching_record import TeachingRecord
from hwkd.engine.arms.teaching import answers_to_validation, teaching_record
from hwkd.report.teaching_tables import teaching_tables
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.values_head import ValuesHead


def test_teacher_and_student_stand_beside_each_other_with_ten_targets() -> None:
    labels = np.arange(40) % 2
    sure = np.where(np.eye(2)[labels] > 0, 5.0, -5.0)
    unsure = np.where(np.eye(2)[labels] > 0, 0.5, -0.5)
    names = ("left", "right")
    found = TeachingRecord(
        teacher=soft_answers(sure, labels, names, is_right=labels >= 0),
        student=soft_answers(unsure, labels, names, is_right=labels == 0),
        agreement=0.5,
    )
    beside, targets = teaching_tables(found)
    assert [row[1].text for row in beside.rows] == ["100.0 %", "50.0 %"]
    assert "the same class in 50.0 % of examples" in beside.note
    assert len(targets.rows) == 10
    assert all(row[1].text == row[2].text.split()[0] for row in targets.rows)
    assert teaching_tables(None) == ()


def test_nothing_is_said_of_answers_that_are_no_classes_or_of_no_teacher(tmp_path: Path) -> None:
    values = SimpleNamespace(
        head=ValuesHead.fitted(np.arange(6.0)[:, None], names=("y",)),
        validation=SimpleNamespace(labels=np.zeros((3, 1)), inputs=np.zeros((3, 2))),
    )
    assert answers_to_validation(np.zeros((3, 1), np.float32), values) is None
    classes = SimpleNamespace(head=ClassesHead.numbered(2))
    assert teaching_record(None, tmp_path / "student_int8.onnx", classes) is None


@pytest.mark.slow
def test_a_taught_student_has_its_teacher_beside_it(place: Path) -> None:
    final = final_of(place, methods=("kd",), epochs=2)
    assert final.teaching is not None
    validation = final.scores.validation_int8
    assert validation is not None
    assert final.teaching.student.accuracy == pytest.approx(validation["accuracy"])
    assert 0 <= final.teaching.agreement <= 1
    alone = final_of(place, methods=("none",), epochs=1, out=place / "alone")
    assert alone.teaching is None
