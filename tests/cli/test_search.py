"""Whole searches on a small data set: what they leave, and that nothing stops them for good."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import optuna
import pytest
import torch
from support.finished_search import (
    TOOLS,
    TRIALS,
    VERIFIES,
    FinishedSearch,
    finished_search,
    search_arguments,
)
from support.processes import Started
from support.tiny_search import write_npz, write_teacher
from support.user_space import USER_SPACE

import hwkd
from hwkd.cli.app import main
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.errors import HwkdError
from hwkd.core.trial import TrialRecord
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.tflite_check import installed
from hwkd.deploy.to_int8 import assert_int8
from hwkd.deploy.toolchain import host_compiler
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.search.listener import SilentListener
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import load_data
from hwkd.io.run_files import read_run_record
from hwkd.io.student_folder import read_student

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def search(made_once) -> FinishedSearch:
    return finished_search(made_once)


@pytest.fixture(scope="module")
def inputs(search) -> Path:
    return search.inputs


@pytest.fixture(scope="module")
def finished(search) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a search that ran undisturbed, and what it printed."""
    return search.run, search.printed


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run"


def records(run: Path) -> list[TrialRecord]:
    lines = (run / "trials.jsonl").read_text().splitlines()
    return [TrialRecord.model_validate_json(line) for line in lines]


def outcome(run: Path) -> list[tuple[object, ...]]:
    """Return what must not depend on when or how often a search was interrupted."""
    return [
        (r.number, r.state, r.reason, r.spec, r.scores, r.objective, r.epochs) for r in records(run)
    ]


def test_json_has_the_keys_that_others_read(finished):
    run, found = finished
    assert set(found) >= {
        "run", "trials", "completed", "rejected", "failed", "front", "best", "teacher", "seconds",
    }  # fmt: skip
    assert (found["run"], found["trials"]) == (str(run), TRIALS)
    states = ("completed", "rejected", "failed", "duplicates")
    assert sum(found[state] for state in states) == TRIALS
    assert found["completed"] >= 2
    for point in found["front"]:
        assert set(point) == {
            "trial", "space", "error", "passes", "latency_s", "peak_ram_bytes", "flash_bytes",
        }  # fmt: skip
    assert set(found["best"]) >= {
        "trial", "test_accuracy_float", "test_accuracy_int8", "latency_s", "peak_ram_bytes",
        "flash_bytes",
    }  # fmt: skip
    assert 0.5 < found["teacher"]["test_accuracy"] <= 1
    assert 0 <= found["best"]["test_accuracy_int8"] <= 1
    assert found["seconds"] > 0


def test_every_file_of_the_run_folder_is_there_and_can_be_read(finished, inputs):
    run, found = finished
    assert len(records(run)) == TRIALS
    assert [r.number for r in records(run)] == list(range(TRIALS))
    config = SearchConfig.from_toml(run / "config.toml")
    assert (config.seed, config.trials, config.data) == (3, TRIALS, str(inputs / "data.npz"))
    record = read_run_record(run / "run.json")
    assert record.status == "finished"
    assert record.device.limit("latency").value == pytest.approx(0.002)
    with (run / "pareto.csv").open() as handle:
        assert len(list(csv.DictReader(handle))) == len(found["front"])
    assert (run / "pareto.png").read_bytes().startswith(b"\x89PNG")
    page = (run / "report.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']https?://", page)
    for name in ("student.onnx", "student_int8.onnx"):
        onnx.checker.check_model(onnx.load(run / "best" / name))
    student = read_student(run)
    assert student.labels == ("0", "1", "2")
    assert student.record.run == record
    assert student.record.trial.objective == records(run)[record.final.trial].objective
    assert student.layers == SEARCH_SPACES.get(student.record.spec.space).layers(
        student.record.spec
    )
    assert (run / "best" / "MODEL_CARD.md").read_text().startswith("#")
    study = RunFolder(run).trials.study
    assert len(study.trials) == TRIALS


def test_a_student_without_a_teacher_stands_beside_the_best(finished):
    final = read_run_record(finished[0] / "run.json").final
    trained = [path.name for path in (finished[0] / "final").iterdir()]
    verdict = final.verdict
    assert sum(name.startswith(final.spec.key) for name in trained) >= len(verdict.arms)
    if len(verdict.arms) == 1:  # the second-best network won, which has no controls
        assert verdict.gain is None
        return
    assert [len(arm.scores) for arm in verdict.arms] == [1, 1, 1, 1]
    assert [arm.is_taught for arm in verdict.arms] == [True, False, False, False]
    distilled, *controls = verdict.arms
    validation = {arm.name: arm.scores[0].validation_int8 or 0.0 for arm in verdict.arms}
    shipped = final.scores.validation_int8
    assert shipped is not None
    assert shipped["accuracy"] == max(validation.values())
    assert verdict.asked_for_ships == all(
        validation["distilled"] > validation[control.name] for control in controls
    )
    over = next(arm for arm in controls if arm.name == verdict.gain.over)
    assert verdict.gain.mean == pytest.approx(distilled.test_int8[0] - over.test_int8[0])
    assert final.history[0].losses


@pytest.mark.skipif(not VERIFIES, reason=f"needs {', '.join(TOOLS)}")
def test_verify_runs_the_best_student_on_the_emulated_core(finished):
    run, found = finished
    verification = read_run_record(run / "run.json").final.verification
    assert verification.passed
    assert verification.emulation.mismatches.onnxruntime == 0
    assert found["best"]["verification"] == verification.model_dump(mode="json")
    assert "On an emulated core" in (run / "report.html").read_text()
    assert "## On an emulated core" in (run / "best" / "MODEL_CARD.md").read_text()
    written = json.loads((run / "best" / "verification.json").read_text())
    assert written["passed"] is True
    assert written["device"] == "cortex-m7"


def load_exported(folder: Path) -> torch.nn.Module:
    spec = importlib.util.spec_from_file_location("load_student", folder / "load_student.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


@pytest.mark.parametrize("which", ["best", "trial"])
def test_exported_files_agree_with_the_torch_weights(which, finished, tmp_path, capsys):
    run, found = finished
    completed = next(r.number for r in records(run) if r.state == "completed")
    trial = "best" if which == "best" else str(completed)
    given = [
        "export", str(run), "--trial", trial, "--format", "onnx,onnx-int8,torch",
        "--out", str(tmp_path / "out"), "--json",
    ]  # fmt: skip
    assert main(given) == 0
    printed = capsys.readouterr()
    names = {Path(path).name for path in json.loads(printed.out)["files"]}
    assert names == {path.name for path in (tmp_path / "out").iterdir()}
    assert ("trained briefly" in printed.err) is (which == "trial")
    samples = np.random.default_rng(1).normal(size=(16, 1, 8, 8)).astype(np.float32)
    module = load_exported(tmp_path / "out")
    with torch.no_grad():
        expected = module(torch.from_numpy(samples)).numpy()
    actual = predict(open_session(tmp_path / "out" / "student.onnx"), samples)
    np.testing.assert_allclose(actual, expected, atol=1e-4)
    assert_int8(onnx.load(tmp_path / "out" / "student_int8.onnx"), name="exported")
    assert found["completed"]


def test_exported_c_runs_an_example_of_the_validation_data(finished, tmp_path, capsys):
    run, _ = finished
    out = tmp_path / "firmware"
    assert main(["export", str(run), "--target", "c", "--out", str(out), "--json"]) == 0
    assert capsys.readouterr().err == ""
    _, data = load_data(SearchConfig.from_toml(run / "config.toml"))
    text = (out / "model_sample.h").read_text()
    label = data.class_names[int(data.validation.labels[0])]
    assert '#define MODEL_SAMPLE_ORIGIN "validation example 0 of ' in text
    assert f'#define MODEL_SAMPLE_LABEL "{label}"' in text
    described = json.loads((out / "model.json").read_text())["input"]
    steps = data.validation.inputs[0] / np.float32(described["scale"]) + described["zero_point"]
    body = text.split("model_sample_input")[1].split("{")[1].split("}")[0]
    recorded = [int(value) for value in body.split(",") if value.strip()]
    # Both are channels last: the data have one channel.
    np.testing.assert_array_equal(recorded, np.clip(np.rint(steps), -128, 127).reshape(-1))


def test_exported_tflite_was_run_where_the_interpreters_are(finished, tmp_path, capsys):
    pytest.importorskip("flatbuffers")
    run, _ = finished
    out = tmp_path / "tflite"
    given = ["export", str(run), "--target", "tflite", "--out", str(out)]
    assert main([*given, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {path.name for path in out.iterdir()} == {
        "README.md", "model.tflite", "model.json", "labels.txt",
    }  # fmt: skip
    assert (out / "model.tflite").read_bytes()[4:8] == b"TFL3"
    assert (out / "labels.txt").read_text() == "0\n1\n2\n"
    found = {item["interpreter"]: item for item in printed["facts"]["against_c"]}
    assert set(found) == (set(installed()) if host_compiler() else set())
    if "tflite-micro" in found:
        assert found["tflite-micro"]["mismatches"] == 0
        assert found["tflite-micro"]["outputs"] == 32 * 3
    assert main(given) == 2  # an earlier export is in the way like anything else
    assert "is in use; give a new or an empty folder" in capsys.readouterr().err


def test_an_export_never_overwrites_and_names_what_is_not_there(finished, tmp_path, capsys):
    run, _ = finished
    used = tmp_path / "used"
    used.mkdir()
    (used / "student.onnx").write_text("mine")
    assert main(["export", str(run), "--out", str(used)]) == 2
    assert "is in use; give a new or an empty folder" in capsys.readouterr().err
    assert (used / "student.onnx").read_text() == "mine"
    assert main(["export", str(run), "--trial", "99", "--out", str(tmp_path / "x")]) == 2
    assert f"no such trial; it has 0 to {TRIALS - 1}" in capsys.readouterr().err
    other = next((r.number for r in records(run) if r.state == "rejected"), None)
    if other is not None:
        assert main(["export", str(run), "--trial", str(other), "--out", str(tmp_path / "x")]) == 2
        assert "it was rejected (" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_the_same_seed_and_one_worker_give_the_same_trials_and_front(finished, inputs, tmp_path):
    again = hwkd.search(
        "cortex-m7", data=inputs / "data.npz", teachers=[str(inputs / "teacher.onnx")],
        spaces=["narrow_deep", "depthwise"], max_latency="2ms", workers=1, seed=3, trials=TRIALS,
        brief_epochs=1, full_epochs=1, final=False, out=tmp_path / "run",
    )  # fmt: skip
    run, found = finished
    assert outcome(again.folder) == outcome(run)
    assert again.as_dict()["front"] == found["front"]
    assert again.best is None
    assert [point.trial for point in again.pareto] == [p["trial"] for p in found["front"]]
    again.report.unlink()
    assert hwkd.report(again.folder).report.is_file()


def test_resuming_a_finished_search_changes_nothing(copied, finished, capsys):
    before = outcome(copied)
    assert main(["search", "--resume", str(copied), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["front"], found["best"]) == (finished[1]["front"], finished[1]["best"])
    assert outcome(copied) == before


def test_resuming_after_the_data_changed_is_refused(copied, inputs, tmp_path, capsys):
    changed = write_npz(tmp_path / "changed.npz", seed=1)
    config = (copied / "config.toml").read_text()
    (copied / "config.toml").write_text(config.replace(str(inputs / "data.npz"), str(changed)))
    before = {p: p.read_bytes() for p in copied.rglob("*") if p.is_file()}
    assert main(["search", "--resume", str(copied)]) == 2
    err = capsys.readouterr().err
    assert re.search(r"--resume .*: the data changed since the run began .*; put the old", err)
    del before[copied / "run.lock"]
    assert {p: p.read_bytes() for p in before} == before


def test_resuming_with_another_teacher_is_refused(copied, inputs, tmp_path, capsys):
    other = write_teacher(tmp_path / "other.onnx", scale=0.2)
    config = (copied / "config.toml").read_text()
    (copied / "config.toml").write_text(config.replace(str(inputs / "teacher.onnx"), str(other)))
    assert main(["search", "--resume", str(copied)]) == 2
    assert "the teacher is another one than the run began with" in capsys.readouterr().err


def test_a_corrupt_journal_is_refused_and_a_torn_tail_is_repaired(copied, capsys):
    journal = copied / "journal.log"
    whole = journal.read_bytes()
    damaged = whole.replace(b'"op_code":', b'"op_code"-', 1)
    journal.write_bytes(damaged)
    assert main(["search", "--resume", str(copied)]) == 2
    assert re.search(r"journal\.log: line \d+ is damaged", capsys.readouterr().err)
    assert journal.read_bytes() == damaged
    before = outcome(copied)
    journal.write_bytes(whole + b'{"op_code":')
    assert main(["search", "--resume", str(copied), "--json"]) == 0
    assert journal.read_bytes() == whole
    assert outcome(copied) == before


def wait_for_records(run: Path, count: int, process: Started) -> None:
    path = run / "trials.jsonl"
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.is_running(), process.printed()
        time.sleep(0.02)


def workers_of(run: Path) -> list[int]:
    """Return the process ids of the workers on a run folder that are alive."""
    found = []
    for status in (run / "workers").glob("*.json"):
        pid = json.loads(status.read_text())["pid"]
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z":
            found.append(pid)
    return found


def test_interrupted_then_killed_then_resumed_equals_undisturbed(
    finished, inputs, tmp_path, processes
):
    run = tmp_path / "run"
    search = processes.start(search_arguments(inputs, run, "--no-final"))
    wait_for_records(run, 1, search)
    search.send_signal(signal.SIGINT)
    assert search.ended() == 130
    *_, line = search.printed().splitlines()
    assert line == (
        f"hwkd: interrupted; finished trials are saved; go on with `hwkd search --resume {run}`"
    )
    assert read_run_record(run / "run.json").status == "interrupted"
    saved = len(records(run))
    assert saved >= 1
    assert workers_of(run) == []

    search = processes.start(["search", "--resume", run])
    wait_for_records(run, saved + 1, search)
    pids = workers_of(run)
    for pid in (search.pid, *pids):
        os.kill(pid, signal.SIGKILL)
    search.ended()
    survived = len(RunFolder(run).trials.records())
    assert survived > saved

    resumed = hwkd.resume(run)
    assert outcome(run) == outcome(finished[0])
    assert resumed.as_dict()["front"] == finished[1]["front"]
    assert resumed.run.status == "finished"


class KillsOneWorker(SilentListener):
    """Kills a worker after the second record."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.killed = 0

    def on_records(self, records, total):
        pids = workers_of(self.run)
        if len(records) >= 2 and not self.killed and pids:
            self.killed = pids[0]
            os.kill(self.killed, signal.SIGKILL)


def test_a_killed_worker_is_replaced_and_no_candidate_is_lost(inputs, tmp_path):
    listener = KillsOneWorker(tmp_path / "run")
    found = hwkd.search(
        "cortex-m7", data=inputs / "data.npz", teachers=[str(inputs / "teacher.onnx")],
        workers=2, trials=6, brief_epochs=1, final=False, out=tmp_path / "run", listener=listener,
    )  # fmt: skip
    assert listener.killed
    assert [r.number for r in found.records] == list(range(len(found.records)))
    assert all(r.state != "failed" for r in found.records)
    run = RunFolder(tmp_path / "run")
    completed = [r for r in found.records if r.state == "completed"]
    assert all(run.weights_of(record).is_file() for record in completed)


def outcomes(found):
    """Return what trials came to; the tables per operator are read for the best one alone."""
    return [(r.number, r.state, r.spec, r.objective, r.scores, r.started_at) for r in found]


class HearsPlans(SilentListener):
    """Keeps what it hears of the time."""

    def __init__(self) -> None:
        self.plans: list[dict[str, float]] = []
        self.notes: list[str] = []

    def on_plan(self, seconds, left_s):
        assert sum(seconds.values()) <= left_s + 1e-6
        self.plans.append(dict(seconds))

    def on_note(self, note):
        self.notes.append(note)


def test_a_time_limit_is_divided_aloud_and_recorded(inputs, tmp_path):
    listener = HearsPlans()
    found = hwkd.search(
        "cortex-m7", data=inputs / "data.npz", teachers=[str(inputs / "teacher.onnx")], workers=1,
        trials=2, timeout="100s", brief_epochs=1, full_epochs=2, out=tmp_path / "run",
        listener=listener,
    )  # fmt: skip
    assert found.run.status == "finished"
    assert found.best is not None
    assert set(listener.plans[0]) == {"teacher", "search", "final training", "report"}
    assert set(found.run.planned_seconds) == set(listener.plans[0])
    assert set(found.run.phase_seconds) >= {"prepare", "teacher", "search", "final training"}
    assert found.seconds is not None
    assert found.seconds < 100.0
    assert all(note in found.run.all_caveats for note in listener.notes)


def test_a_limit_too_short_is_refused_with_the_least_that_works(inputs, tmp_path, capsys):
    given = ["--timeout", "1s"]
    assert main(search_arguments(inputs, tmp_path / "run", *given)) == 2
    assert re.search(r"--timeout 1s: .*; give at least --timeout \d+s", capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_the_end_of_a_run_can_be_done_again_and_ships_nothing_worse(copied, finished, capsys):
    before = read_run_record(copied / "run.json").final
    assert main(["finish", str(copied), "--controls", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    after = read_run_record(copied / "run.json").final
    assert found["best"]["verdict"]["weights"] == after.verdict.weights
    assert [len(arm.scores) for arm in after.verdict.arms] in ([2, 2, 2, 2], [2])
    trainings = [p for p in (copied / "final").iterdir() if (p / "scores.json").is_file()]
    names = {path.name for path in (finished[0] / "final").iterdir()}
    assert len(trainings) > len(names)  # further seeds beside what was there
    if after.verdict.weights == before.verdict.weights == "brief":
        kept, shipped = before.scores.validation_int8, after.scores.validation_int8
        assert kept is not None
        assert shipped is not None
        assert shipped["accuracy"] >= kept["accuracy"]
    assert outcome(copied) == outcome(finished[0])
    assert main(["finish", str(copied / "none")]) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_labels_alone_train_no_teacher(inputs, tmp_path):
    found = hwkd.search(
        "cortex-m7", data=inputs / "data.npz", methods=("none",), workers=1, trials=2,
        spaces=("narrow_deep",), brief_epochs=1, full_epochs=1, out=tmp_path / "run",
    )  # fmt: skip
    assert found.run.teacher is None
    assert found.run.objective.beta == 0.0
    assert {record.methods for record in found.records} == {()}
    assert hwkd.resume(tmp_path / "run", trials=3).run.status == "finished"


def test_several_teachers_label_what_has_no_label(inputs, tmp_path):
    write_teacher(tmp_path / "other.onnx", scale=0.2)
    np.save(tmp_path / "more.npy", np.load(inputs / "data.npz")["x_train"][:60] + 0.1)
    given = [
        "--teacher", tmp_path / "other.onnx", "--unlabelled", tmp_path / "more.npy",
        "--method", "kd", "--controls", "0",
    ]  # fmt: skip
    run = tmp_path / "run"
    assert main(search_arguments(inputs, run, *given, trials=2)) == 0
    record = read_run_record(run / "run.json")
    assert record.teacher.description.startswith("mean answer of 2 teachers")
    config = SearchConfig.from_toml(run / "config.toml")
    names = [Path(source).name for source in config.teacher.sources]
    assert names == ["teacher.onnx", "other.onnx"]
    np.save(tmp_path / "more.npy", np.load(inputs / "data.npz")["x_train"][:50])
    with pytest.raises(HwkdError, match="the unlabelled data changed"):
        hwkd.resume(run, trials=3)


MY_TEACHER = '''
import torch
from torch import nn


class Bright(nn.Module):
    """Looks at the third of the window in which a class is bright."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        parts = [x[:, :, 8 * i : 8 * i + 8].mean((1, 2)) for i in range(3)]
        return self.scale * torch.stack(parts, 1)
'''


def test_signals_a_users_own_space_and_teacher_and_a_pareto_search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "signals.npz", shape=(2, 24))
    (tmp_path / "my_bright_teacher.py").write_text(MY_TEACHER)
    (tmp_path / "mine.py").write_text(USER_SPACE.format(name="mine"))
    found = hwkd.search(
        "cortex-m4", data="signals.npz", teachers=["my_bright_teacher:Bright"], spaces=["mine.py"],
        objective="pareto", workers=1, trials=4, brief_epochs=1, full_epochs=1, controls=0,
        out="run",
    )  # fmt: skip
    assert found.run.data.input_shape == (2, 24)
    assert found.run.teacher.kind == "factory"
    states = {r.state for r in found.records}
    assert states <= {"completed", "duplicate"}
    assert len(found.pareto) >= 1
    assert found.best.spec.space == "mine"
    assert found.report == Path("run/report.html")
    assert len(RunFolder(tmp_path / "run").trials.study.directions) == 4
    assert main(["export", "run", "--format", "torch", "--out", "exported"]) == 0
    module = load_exported(tmp_path / "exported")
    assert module(torch.zeros(2, 2, 24)).shape == (2, 3)


def test_the_digits_with_a_trained_teacher_on_the_host(tmp_path, capsys):
    given = [
        "search", "--device", "host", "--trials", "2", "--workers", "1", "--space", "narrow_deep",
        "--teacher-time", "6s", "--brief-epochs", "1", "--no-final", "--out",
        str(tmp_path / "run"),
    ]  # fmt: skip
    assert main(given) == 0
    printed = capsys.readouterr()
    assert "trained here" in printed.err
    assert "report: " in printed.out
    record = read_run_record(tmp_path / "run" / "run.json")
    assert record.device.basis.name == "measured"
    for trial in records(tmp_path / "run"):
        if trial.state == "completed":
            assert trial.cost.latency_s is None
            assert trial.latency_s == trial.profile.median_s


def test_a_disk_that_fills_up_is_one_line_and_loses_nothing(copied, processes):
    # No file may grow beyond this, so the journal is full after one or two more students.
    limit = (copied / "journal.log").stat().st_size + 25_000
    search = processes.start(
        ["search", "--resume", copied, "--trials", "999"], f"no file above {limit}"
    )
    assert search.ended() == 2, search.printed()
    *_, line = search.printed().splitlines()
    assert "Traceback" not in search.printed()
    assert re.search(r"cannot write there: File too large; finished trials are safe", line), line
    saved = RunFolder(copied).trials.records()
    assert len(saved) > TRIALS
    again = hwkd.resume(copied, trials=len(saved) + 1)
    assert outcomes(again.records)[: len(saved)] == outcomes(saved)
    assert again.run.status == "finished"
    assert optuna.trial.TrialState.RUNNING not in {
        t.state for t in RunFolder(copied).trials.study.trials
    }
