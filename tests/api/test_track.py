"""`--track`: what trackers keep of a search, read from the files that they write."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.synthetic_run import make_run, write_run

import hwkd
from hwkd.api.track import require_trackers, tracked, trial_numbers
from hwkd.core.choices import Tracker
from hwkd.core.errors import ConfigError
from hwkd.core.metric import ACCURACY
from hwkd.engine.run.listener import SilentListener

RUN, RECORDS = make_run(trials=12)
SCORED = [record for record in RECORDS if record.objective is not None]


def told(folder: Path, tracker: Tracker):
    """Tell a tracker a search as the search does: all records so far, again and again."""
    folder.mkdir()
    with tracked(SilentListener(), [tracker], folder) as listener:
        for count in range(1, len(RECORDS) + 1):
            listener.on_records(RECORDS[:count], 12)
        write_run(folder, RUN, RECORDS)
        listener.end(hwkd.open(folder))


def test_numbers_are_si_and_what_is_unknown_is_left_out():
    record = SCORED[0]
    numbers = trial_numbers(record)
    assert numbers["error"] == record.objective.task_error
    assert numbers["estimated/peak_ram_bytes"] == record.cost.peak_ram_bytes
    assert numbers["validation/accuracy"] == ACCURACY.of(record.scores.validation_int8)
    rejected = next(record for record in RECORDS if record.state == "rejected")
    assert "error" not in trial_numbers(rejected)
    assert trial_numbers(rejected)["trained"] == 0.0


def test_nothing_is_opened_before_there_is_a_candidate(tmp_path):
    with tracked(SilentListener(), ["tensorboard"], tmp_path / "run") as listener:
        listener("search", 0, 1)
        listener.on_records((), 12)
    assert not (tmp_path / "run").exists()


def test_a_tracker_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"--track wandb: .*pip install 'hwkd\[wandb\]'"):
        require_trackers(["wandb"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_has_every_candidate_once(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told(tmp_path / "run", "tensorboard")
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    found.Reload()
    assert [event.step for event in found.Scalars("trained")] == list(range(12))
    errors = {event.step: event.value for event in found.Scalars("error")}
    assert errors == pytest.approx({r.number: r.objective.task_error for r in SCORED}, rel=1e-6)
    (test,) = found.Scalars("test/accuracy")
    assert test.value == pytest.approx(ACCURACY.of(RUN.final.scores.test_int8))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_every_candidate_once(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    told(tmp_path / "run", "mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("hwkd")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    history = client.get_metric_history(run.info.run_id, "error")
    errors = {metric.step: metric.value for metric in history}
    assert errors == pytest.approx({r.number: r.objective.task_error for r in SCORED})
    assert run.data.metrics["test/accuracy"] == ACCURACY.of(RUN.final.scores.test_int8)
