"""A teacher has to earn its place: ready in time, better than chance, better than its students."""

from __future__ import annotations

import pytest
from support.tiny_search import make_config, silent, write_npz, write_teacher

from hwkd.core.errors import TeacherError
from hwkd.core.trial import ObjectiveRecord, TrialRecord
from hwkd.engine.run import teacher_stage
from hwkd.engine.run.run_teacher import beaten_by, error_to_beat
from hwkd.engine.run.teacher_stage import prepare_teacher
from hwkd.engine.setup.prepare import prepare_data


def record(number: int, error: float | None) -> TrialRecord:
    terms = None
    if error is not None:
        terms = ObjectiveRecord(task_error=error, divergence=0.0, latency_overrun=0.0, value=error)
    return TrialRecord(
        number=number, state="completed" if terms else "failed", seed=0, objective=terms,
        started_at="t", duration_s=0.0,
    )  # fmt: skip


def test_a_teacher_is_beaten_by_the_first_candidate_as_good_in_int8():
    records = [record(0, 0.3), record(1, None), record(2, 0.2), record(3, 0.1)]
    found = beaten_by(0.2, records)
    assert found is not None
    assert found.number == 2
    assert beaten_by(0.05, records) is None


@pytest.mark.parametrize(
    ("timeout_s", "source", "to_beat"),
    [(None, None, 0.1), (300.0, None, 0.125), (300.0, "t.onnx", 0.1)],
)
def test_a_teacher_trained_within_a_time_limit_has_to_be_ahead_of_full_trainings(
    tmp_path, timeout_s, source, to_beat
):
    config = make_config(tmp_path, timeout_s=timeout_s, teacher={"source": source})
    assert error_to_beat(0.1, config) == pytest.approx(to_beat)


def test_a_teacher_that_sees_what_students_do_not_is_never_beaten(tmp_path):
    seen = {"source": "t.onnx", "sees": "samples"}
    config = make_config(tmp_path, timeout_s=300.0, teacher=seen)
    assert beaten_by(error_to_beat(0.1, config), [record(0, 0.0)]) is None


def test_labels_alone_have_no_teacher_and_give_nothing_up(tmp_path):
    prepared = prepare_data(make_config(tmp_path, distill=[{"method": "none"}]), progress=silent)
    stage = prepare_teacher(prepared.config, prepared.transfer, progress=silent)
    assert (stage.teacher, stage.record, stage.left_out) == (None, None, None)


def test_a_teacher_without_time_is_left_out_with_the_reason(tmp_path):
    prepared = prepare_data(make_config(tmp_path), progress=silent)
    stage = prepare_teacher(prepared.config, prepared.transfer, budget_s=0.1, progress=silent)
    assert stage.teacher is None
    assert stage.left_out == "its share of the time limit is 0.1 s"


def test_outputs_that_take_longer_than_the_share_leave_the_teacher_out(tmp_path):
    now = [0.0]

    def slow(stage: str, done: int, total: int, note: str = "") -> None:
        now[0] += 30.0

    data = str(write_npz(tmp_path / "fresh.npz", seed=77))  # no outputs of it are in the cache
    prepared = prepare_data(make_config(tmp_path, data=data), progress=silent)
    stage = prepare_teacher(
        prepared.config, prepared.transfer, budget_s=20.0, progress=slow, clock=lambda: now[0]
    )
    assert stage.teacher is None
    assert "was over at: teacher logits" in (stage.left_out or "")


def test_a_later_command_asks_for_the_teacher_that_a_run_trained_in_the_time_it_had(
    tmp_path, monkeypatch
):
    asked = []

    def open_teachers(*arguments, training_s, **options):
        asked.append(training_s)
        raise TeacherError("is not there")

    monkeypatch.setattr(teacher_stage, "open_teachers", open_teachers)
    config = make_config(tmp_path, teacher={}, timeout_s=100.0)
    transfer = prepare_data(config, progress=silent).transfer
    prepare_teacher(config, transfer, budget_s=90.0, progress=silent)
    later = config.model_copy(update={"timeout_s": None})
    prepare_teacher(later, transfer, trained_within_s=asked[0], progress=silent)
    prepare_teacher(later, transfer, progress=silent)
    assert asked[0] == asked[1] < 90.0
    assert asked[2] is None


def test_a_machine_without_time_for_a_teacher_says_so(tmp_path):
    prepared = prepare_data(make_config(tmp_path), progress=silent)
    stage = prepare_teacher(prepared.config, prepared.transfer, budget_s=0.0, progress=silent)
    assert stage.teacher is None
    assert "students need all the time" in (stage.left_out or "")


def test_a_teacher_of_the_user_that_knows_nothing_is_an_error(tmp_path):
    source = str(write_teacher(tmp_path / "useless.onnx", scale=0.0))
    prepared = prepare_data(make_config(tmp_path, teacher={"source": source}), progress=silent)
    with pytest.raises(TeacherError, match="chance"):
        prepare_teacher(prepared.config, prepared.transfer, progress=silent)
