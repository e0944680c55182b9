from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from support.students import finished_student
from support.synthetic_run import make_run, write_run

from hwkd.core.errors import RunFolderError
from hwkd.core.pareto import pareto_front
from hwkd.core.run_record import RunRecord
from hwkd.io.trials_file import read_trials
from hwkd.report.analysis import best_record
from hwkd.report.read import read_run

GOLDEN = Path(__file__).parent.parent / "golden" / "run_v1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run, records = make_run(trials=12)
    write_run(tmp_path / "run", run, records)
    return tmp_path / "run"


def test_files_of_schema_1_are_read_for_ever():
    warnings: list[str] = []
    run, records = read_run(GOLDEN, on_warning=warnings.append)
    assert warnings == []
    assert run.schema_version == 2
    assert (len(records), len(pareto_front(records))) == (40, 13)
    assert run.final is not None
    assert run.final.scores.test_int8 == {"accuracy": 0.9767}
    assert records[8].cost is not None
    assert records[8].cost.macs == 367_072


def test_what_is_written_is_read_back(folder: Path):
    run, records = read_run(folder)
    wanted_run, wanted = make_run(trials=12)
    assert run == wanted_run
    best = best_record(run, records).number
    assert records == tuple(r if r.number == best else without_tables(r) for r in wanted)


def test_a_folder_without_run_json_is_no_run_folder(tmp_path: Path):
    with pytest.raises(RunFolderError, match=r"not a run folder.*run\.json.*hwkd search --out"):
        read_run(tmp_path)


def test_a_cut_run_json_names_the_file(folder: Path):
    path = folder / "run.json"
    path.write_text(path.read_text()[:200])
    with pytest.raises(RunFolderError, match=r"run\.json: not a run record"):
        read_run(folder)


@pytest.mark.parametrize("name", ["run.json", "trials.jsonl"])
def test_an_unknown_schema_version_is_refused(folder: Path, name: str):
    path = folder / name
    path.write_text(path.read_text().replace('"schema_version":2', '"schema_version":99', 1))
    path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 99', 1))
    with pytest.raises(RunFolderError, match=rf"{name}.*schema_version.*another version of hwkd"):
        read_run(folder)


def test_a_search_that_finished_no_trial_has_no_records(folder: Path):
    (folder / "trials.jsonl").unlink()
    assert read_run(folder)[1] == ()


def test_a_corrupt_line_in_the_middle_is_named(folder: Path):
    path = folder / "trials.jsonl"
    lines = path.read_text().splitlines()
    lines[4] = lines[4][:50]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RunFolderError, match=r"trials\.jsonl, line 5: not a trial record"):
        read_run(folder)


def test_bytes_that_are_no_text_are_named(folder: Path):
    path = folder / "trials.jsonl"
    path.write_bytes(b"\xff\xfe\x00\n" + path.read_bytes())
    with pytest.raises(RunFolderError, match=r"line 1: not a trial record"):
        read_run(folder)


def test_a_trial_that_is_there_twice_is_refused(folder: Path):
    path = folder / "trials.jsonl"
    first = path.read_text().splitlines()[0]
    path.write_text(path.read_text() + first + "\n")
    with pytest.raises(RunFolderError, match=r"line 13: trial 0 is there twice"):
        read_run(folder)


def without_tables(record):
    """Return what is read of all trials: a page shows the rest for the best one alone."""
    cost = record.cost and replace(record.cost, per_op=())
    profile = record.profile and replace(record.profile, per_op=())
    return record.model_copy(update={"cost": cost, "profile": profile, "epochs": ()})


def test_a_file_cut_anywhere_keeps_every_whole_record(tmp_path: Path):
    run, records = make_run(trials=8)
    write_run(tmp_path, run, records)
    path = tmp_path / "trials.jsonl"
    whole = path.read_bytes()
    random = Random(3)
    for _ in range(60):
        end = random.randrange(len(whole))
        path.write_bytes(whole[:end])
        found = read_trials(path)
        kept, warning = found.records, found.warning
        # A record whose closing brace was written is whole even without its newline.
        count = whole[: end + 1].count(b"\n")
        assert kept == tuple(without_tables(record) for record in records[:count])
        assert all(found.whole(record.number) == record for record in records[:count])
        is_cut = bool(whole[:end].rsplit(b"\n", 1)[-1]) and whole[end : end + 1] != b"\n"
        assert (warning is not None) == is_cut


def test_a_cut_last_record_becomes_a_caveat(folder: Path):
    path = folder / "trials.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    warnings: list[str] = []
    run, records = read_run(folder, on_warning=warnings.append)
    assert len(records) == 11
    assert len(warnings) == 1
    assert "line 12: the last record was cut" in warnings[0]
    assert run.caveats[-1] == warnings[0]


def test_records_are_ordered_by_number_however_workers_wrote_them(folder: Path):
    path = folder / "trials.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(reversed(lines)) + "\n")
    assert [record.number for record in read_run(folder)[1]] == list(range(12))


def test_the_synthetic_records_agree_with_themselves():
    _, records = make_run()
    for line in (GOLDEN / "trials.jsonl").read_text().splitlines():
        record = records[json.loads(line)["number"]]
        if record.cost is not None:
            per_op = record.cost.per_op
            assert record.cost.macs == sum(op.macs for op in per_op)
            assert record.cost.weight_bytes == sum(op.flash_bytes for op in per_op)
            assert record.cost.latency_s == pytest.approx(sum(op.latency_s or 0 for op in per_op))
        if record.profile is not None:
            assert sum(s.share_ratio for s in record.profile.per_op) == pytest.approx(1)


def test_caveats_of_an_older_run_go_with_what_they_are_about():
    run, _ = make_run()
    raw = run.model_dump(mode="json")
    del raw["events"], raw["final"]["remarks"]
    given_up, left_out = (
        "Given up: the teacher.",
        "The teacher was left out after candidate 3: why.",
    )
    raw["caveats"] = ["Latency is an estimate.", left_out, given_up]
    read = RunRecord.model_validate(raw)
    assert read.final is not None
    assert (read.caveats, read.events) == (("Latency is an estimate.",), (left_out,))
    assert read.final.remarks == (given_up,)
    assert read.all_caveats == tuple(raw["caveats"])
    assert RunRecord.model_validate(read.model_dump(mode="json")) == read
    kept = RunRecord.model_validate({**raw, "final": None})
    assert set(kept.all_caveats) == set(raw["caveats"])


def test_a_report_says_where_the_best_student_is_not_the_one_of_the_records(folder: Path):
    run, _ = read_run(folder)
    assert run.final is not None
    student = finished_student(folder / "best", run=run)

    def said() -> list[str]:
        lines: list[str] = []
        read, _ = read_run(folder, on_warning=lines.append)
        assert read.caveats == (*run.caveats, *lines)
        return lines

    assert said() == []
    edited = json.loads((folder / "run.json").read_text())
    edited["final"]["scores"]["test_int8"] = {"accuracy": 0.999}
    kept = (folder / "run.json").read_text()
    (folder / "run.json").write_text(json.dumps(edited))
    (line,) = said()
    assert "run.json and best/student.json hold different scores" in line
    (folder / "run.json").write_text(kept)
    with student.file("student_int8.onnx").open("ab") as file:
        file.write(b"x")
    (line,) = said()
    assert "student_int8.onnx: is not the file of this student" in line
