"""`hwkd worker`, the whole command: what it refuses at the door, and how it ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from support.tiny_search import TinyRun, make_shared_run, write_npz
from support.user_space import USER_SPACE

from hwkd.cli.app import main
from hwkd.engine.arms.evaluation import train_student
from hwkd.engine.run.trials import Trials
from hwkd.engine.search import shared_worker, trial_run
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.trusted_code import VARIABLE, digest_of


@pytest.fixture
def run(tmp_path) -> TinyRun:
    return make_shared_run(tmp_path, trials=2)


def options(run: TinyRun, *more: str) -> list[str]:
    return ["--storage", run.shared.place.url, "--study", "tiny", *more]


def trials(run: TinyRun) -> Trials:
    """Return the trials as they are in the database now."""
    return run.reopened().trials


def refused(run: TinyRun, capsys, *more: str) -> str:
    """Return the one line with which a worker ends at the door."""
    assert main(["worker", *options(run, *more)]) == 2
    err: str = capsys.readouterr().err
    assert err.count("\n") == 1
    assert trials(run).candidates_started() == 0
    return err


def test_other_data_is_refused(run, tmp_path, capsys):
    other = write_npz(tmp_path / "other.npz", seed=1)
    assert "the data here is not the search's" in refused(run, capsys, "--data", str(other))


def test_other_data_is_refused_of_a_search_that_is_over_too(run, tmp_path, capsys):
    run.shared.set_state("over")
    other = write_npz(tmp_path / "other.npz", seed=1)
    assert "the data here is not the search's" in refused(run, capsys, "--data", str(other))
    assert main(["worker", *options(run)]) == 0


def test_another_version_is_refused(run, capsys, monkeypatch):
    monkeypatch.setattr("hwkd.engine.run.shared_study.__version__", "9.9")
    assert "this is hwkd 9.9; install that version" in refused(run, capsys)


def test_a_driver_that_is_not_installed_is_refused(run, capsys):
    url = "postgresql+pg8000://hwkd@db.example/hwkd"
    assert "pip install 'hwkd[postgresql]'" in refused(run, capsys, "--storage", url)


def test_a_damaged_artifact_is_refused(run, tmp_path, capsys, monkeypatch):
    entry = tmp_path / "cache" / "logits" / "key"
    entry.mkdir(parents=True)
    (entry / "values.bin").write_bytes(b"values")
    run.shared.publish_folders(tmp_path / "cache", [entry])
    (kept,) = (file for file in (tmp_path / "artifacts").rglob("*") if file.is_file())
    kept.unlink()
    kept.write_bytes(b"volumes")
    monkeypatch.setenv("HWKD_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert "its content is not what its name says" in refused(run, capsys)
    assert not list((tmp_path / "elsewhere").rglob("values.bin"))


@pytest.fixture
def own_space(run, tmp_path, monkeypatch) -> Path:
    """Name a search space of the user's in the study, which leaves a file behind when it runs."""
    monkeypatch.setenv(VARIABLE, "")
    path = tmp_path / "mine.py"
    path.write_text(f"open({str(tmp_path / 'it_ran')!r}, 'w').close()\n" + USER_SPACE)
    config = SearchConfig.from_toml(run.store.config_path)
    changes = {"spaces": (*config.spaces, str(path)), "code": {str(path): digest_of(path)}}
    run.store.write(run.store.config_path.name, config.model_copy(update=changes).to_toml())
    return path


@pytest.mark.parametrize(
    ("is_changed", "more", "message"),
    [
        (False, [], "mine.py is Python, which never runs because a file names it"),
        (True, ["--trust"], "mine.py changed since the run began (SHA-256"),
        (True, ["--space", "mine.py"], "--space mine.py: is not a file of the search (SHA-256"),
        (False, ["--space", "none.py"], "--space none.py: cannot be read"),
    ],
)
def test_code_that_is_not_the_searchs_or_not_named_does_not_run(
    is_changed, more, message, run, own_space, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    if is_changed:
        own_space.write_text(own_space.read_text() + "\n")
    assert message in refused(run, capsys, *more)
    assert not (tmp_path / "it_ran").exists()


def stop_once_it_trains(monkeypatch, then) -> None:
    """Send SIGTERM when a training begins, which then goes on as `then` does."""

    def training(*arguments, **given):
        os.kill(os.getpid(), signal.SIGTERM)
        return then(*arguments, **given)

    monkeypatch.setattr(trial_run, "train_student", training)


def train_without_end(*arguments, check, **given):
    while True:
        check()
        time.sleep(0.02)


def test_a_worker_is_gone_in_half_a_minute():
    assert shared_worker._FINISH_S < shared_worker._GONE_S < 30


@pytest.mark.slow
def test_sigterm_lets_a_candidate_end_that_is_nearly_done(run, monkeypatch, capsys):
    stop_once_it_trains(monkeypatch, train_student)
    assert main(["worker", *options(run)]) == 0
    assert "1 candidates; ended because SIGTERM was sent" in capsys.readouterr().out
    assert [record.state for record in trials(run).records()] == ["completed"]


@pytest.mark.slow
def test_sigterm_gives_back_a_candidate_that_is_not(run, monkeypatch):
    monkeypatch.setattr(shared_worker, "_FINISH_S", 0.2)
    stop_once_it_trains(monkeypatch, train_without_end)
    assert main(["worker", *options(run)]) == 0
    assert not trials(run).records()
    assert trials(run).has_queued()


@pytest.mark.slow
def test_a_worker_is_gone_before_its_slurm_job_is_ended(run, monkeypatch):
    monkeypatch.setattr(shared_worker, "_FINISH_S", 0.2)
    monkeypatch.setattr(shared_worker, "_GONE_S", 4.0)
    monkeypatch.setattr(trial_run, "train_student", train_without_end)
    end = int(time.time()) + 8
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(end))
    assert main(["worker", *options(run)]) == 0
    assert time.time() < end
    assert trials(run).has_queued()


@pytest.mark.slow
def test_a_worker_that_does_not_listen_gives_back_its_candidate_and_is_gone(run, processes):
    worker = processes.start(["worker", *options(run)], "stuck")
    while "candidate 0" not in worker.printed():
        assert worker.is_running(), worker.printed()
        time.sleep(0.02)
    worker.send_signal(signal.SIGTERM)
    assert worker.ended() == 0
    assert trials(run).has_queued()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_candidate_in_which_two_workers_died_fails_and_the_search_goes_on(
    tmp_path, processes, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    run = make_shared_run(tmp_path, lease_s=2.0, trials=3)
    for code in (-signal.SIGKILL, -signal.SIGKILL, 0):
        worker = processes.start(["worker", *options(run)], "deadly")
        assert worker.ended() == code, worker.printed()
    assert run.shared.state == "over"
    records = trials(run).records()
    (failed,) = (record for record in records if record.state == "failed")
    assert "2 worker processes died while running this student" in str(failed.reason)
    assert sum(record.state == "completed" for record in records) >= 2
