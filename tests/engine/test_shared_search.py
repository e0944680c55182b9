"""Workers of one search in a database come and go; what they filed stays, nothing is done twice."""

from __future__ import annotations

import os

import pytest

from benchmarks.lib.postgresql import running_server, why_there_is_none
from benchmarks.robustness import many_machines
from hwkd.api.search_config import without_password
from hwkd.core.errors import ConfigError, RunFolderError, UnreachableError
from hwkd.engine.run.database import Database
from hwkd.engine.run.shared_study import SharedStudy
from hwkd.engine.run.study_place import StudyPlace


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_or_trained_twice_under_kills_restarts_and_dropped_connections(tmp_path):
    reason = why_there_is_none()
    if reason is not None:
        pytest.skip(reason)
    with running_server(durable=True) as server:
        study = many_machines.new_study(server, "faults", tmp_path, 40, 0.2)
        made = many_machines.with_faults(study, server, workers=2, faults=3, seed=1)
        assert made == 3
        lost, twice, filed = many_machines.lost_and_twice(study)
        assert (lost, twice) == (0, 0)
        assert filed >= 40


def place(url: str, name: str, folder) -> StudyPlace:
    return StudyPlace(url=Database.of(url).url, study=name, artifacts=folder.as_uri())


@pytest.fixture
def shared(tmp_path) -> SharedStudy:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    documents = {"config.toml": "device = 'x'\n"}
    return SharedStudy.create(place(url, "photos", tmp_path / "a"), documents, objectives=1)


def test_a_study_is_found_and_checked_out_by_its_name(shared, tmp_path):
    found = SharedStudy.find(shared.database, "photos")
    assert found.place == shared.place
    (tmp_path / "elsewhere").mkdir()
    found.check_out(tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "config.toml").read_text() == "device = 'x'\n"
    assert StudyPlace.read(tmp_path / "elsewhere") == shared.place


def test_the_outputs_of_a_teacher_are_fetched_once(shared, tmp_path):
    entry = tmp_path / "here" / "logits" / "key"
    entry.mkdir(parents=True)
    (entry / "values.bin").write_bytes(b"values")
    shared.publish_folders(tmp_path / "here", [entry])
    shared.fetch_folders(tmp_path / "there")
    copied = tmp_path / "there" / "logits" / "key" / "values.bin"
    assert copied.read_bytes() == b"values"
    copied.write_bytes(b"mine")
    shared.fetch_folders(tmp_path / "there")
    assert copied.read_bytes() == b"mine"


def test_a_worker_of_another_version_is_refused(shared, monkeypatch):
    shared.require_version()
    monkeypatch.setattr("hwkd.engine.run.shared_study.__version__", "9.9")
    with pytest.raises(ConfigError, match=r"hwkd 0\.\S+ runs the search, this is hwkd 9\.9"):
        shared.require_version()


def test_a_name_that_is_taken_is_refused(shared):
    with pytest.raises(RunFolderError, match="holds a study of that name"):
        SharedStudy.create(shared.place, {}, objectives=1)


def test_a_server_that_does_not_answer_may_answer_later(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(UnreachableError, match="does not answer") as raised:
        SharedStudy.find(Database.of(f"postgresql://hwkd@/none?host={tmp_path}"), "photos")
    assert raised.value.exit_code == 75


def test_a_server_that_refuses_is_wrong_input(postgresql):
    with pytest.raises(ConfigError, match=r'refuses .*database "none" does not exist'):
        SharedStudy.find(Database.of(postgresql.url("none")), "photos")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("db.example/hwkd", "is no URL of a database"),
        ("mysql://hwkd@db.example/hwkd", "mysql is no database that hwkd can share"),
    ],
)
def test_a_storage_that_cannot_be_shared_is_one_line(url, message):
    with pytest.raises(ConfigError, match=message):
        Database.of(url)


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://hwkd:secret@db.example/hwkd",
        "postgresql://hwkd@db.example/hwkd?password=secret",
    ],
)
def test_a_password_stays_out_of_what_is_kept(given, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "")
    assert Database.of(given).url == "postgresql+psycopg://hwkd@db.example/hwkd"
    assert os.environ["PGPASSWORD"] == "secret"
    assert without_password(given) == "postgresql://hwkd@db.example/hwkd"
