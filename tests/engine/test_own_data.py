"""A student by itself learns from the data that its description names, or is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.bars import bars, request_of
from support.students import finished_student
from support.synthetic_run import make_run
from support.tiny_search import make_config

from hwkd.core.errors import ConfigError
from hwkd.core.progress import silent
from hwkd.core.run_record import RunRecord
from hwkd.engine.distill.resolve import ResolvedStudent, resolve_student
from hwkd.engine.run.run_record import data_record, run_json
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import load_data


def _run_on(data: str | None, **options: object) -> RunRecord:
    """Return the record of a run on data, read now."""
    _, read = load_data(SearchConfig(device="host", data=data, **options))
    run = make_run()[0].model_copy(update={"data": data_record(read), "settings": ()})
    assert run.final is not None
    final = run.final.model_copy(update={"profile": None})
    return run.model_copy(update={"final": final})


@pytest.fixture
def student(place: Path) -> Path:
    """A student in the working folder, whose description names the bars there."""
    records = make_run()[1]
    return finished_student(
        place / "student", run=_run_on("bars.npz", seed=3), trial=records[0]
    ).folder


def _resolved(place: Path, student: Path | str, **options: object) -> ResolvedStudent:
    asked = {"data": None, "methods": ("none",), "teachers": (), **options}
    return resolve_student(request_of(place, student=str(student), **asked), progress=silent)


@pytest.mark.parametrize("form", ["student", "student/student.json"])
def test_it_learns_from_what_its_description_names(form: str, place: Path, student: Path) -> None:
    data = _resolved(place, form).data
    assert data.source == "bars.npz"
    assert data.fingerprint == _run_on("bars.npz", seed=3).data.fingerprint


def test_it_learns_from_what_its_task_has_by_itself(place: Path) -> None:
    run = _run_on(None)
    finished_student(place / "digits", outputs=10, run=run, trial=make_run()[1][0])
    assert _resolved(place, "digits").data.fingerprint == run.data.fingerprint


def test_data_that_changed_are_refused(place: Path, student: Path) -> None:
    (x_train, y_train), (x_test, y_test) = bars(160, 5), bars(60, 1)
    np.savez("bars.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    told = r"--student student: learned from bars.npz, which changed since; .*--data"
    with pytest.raises(ConfigError, match=told):
        _resolved(place, "student")
    assert _resolved(place, "student", data="bars.npz").data.source == "bars.npz"


def test_data_that_are_gone_are_refused(place: Path, student: Path) -> None:
    Path("bars.npz").rename("elsewhere.npz")
    with pytest.raises(ConfigError, match=r"learned from bars.npz, which is not there; .*--data"):
        _resolved(place, "student")
    assert len(_resolved(place, "student", data="elsewhere.npz").data.train) > 0


def test_data_that_cannot_be_read_are_refused(place: Path, student: Path) -> None:
    Path("bars.npz").write_bytes(b"no archive")
    with pytest.raises(ConfigError, match=r"bars.npz, which cannot be read \(.*--data") as caught:
        _resolved(place, "student")
    assert "\n" not in str(caught.value)


def test_the_best_of_a_run_reads_them_as_the_run_did(place: Path) -> None:
    reading = {"metric": "macro_f1"}
    run = _run_on("bars.npz", reading=reading)
    (place / "run").mkdir()
    config = make_config(place / "run", data="bars.npz", reading=reading)
    (place / "run" / "config.toml").write_text(config.to_toml())
    finished_student(place / "run" / "best", run=run, trial=make_run()[1][0])
    assert _resolved(place, "run/best").data.head.metrics[0].name == "macro F1"


def test_a_run_whose_data_changed_is_refused(place: Path, student: Path) -> None:
    (place / "run").mkdir()
    shutil.move(student, place / "run" / "best")
    run = _run_on("bars.npz", seed=3)
    (place / "run" / "run.json").write_text(run_json(run))
    config = make_config(place / "run", data="bars.npz", seed=3)
    (place / "run" / "config.toml").write_text(config.to_toml())
    assert _resolved(place, "run").data.fingerprint == run.data.fingerprint
    pictures, labels = bars(100, 7)
    np.savez("bars.npz", x_train=pictures, y_train=labels)
    told = r"--student run: learned from bars.npz, which changed since; .*run/best and --data"
    with pytest.raises(ConfigError, match=told):
        _resolved(place, "run")
