"""Nothing stops a search for good: interruptions, killed workers, a full disk."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import optuna
import pytest
from support.finished_search import (
    TRIALS,
    outcome,
    records,
    search_arguments,
)
from support.processes import Started
from support.tiny_search import write_npz, write_teacher

import hwkd
from hwkd.cli.app import main
from hwkd.engine.run.listener import SilentListener
from hwkd.engine.run.run_folder import RunFolder
from hwkd.io.run_files import read_run_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


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
        spaces=["narrow_deep"], workers=2, trials=6, brief_epochs=1, final=False,
        out=tmp_path / "run", listener=listener,
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
