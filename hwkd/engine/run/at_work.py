"""Who is at work on a run: as its database knows it, or as its folder does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwkd.core.errors import ConfigError, RunFolderError
from hwkd.engine.run.database import Database, patiently
from hwkd.engine.run.lease_rows import Holder, holders
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.shared_study import SharedStudy
from hwkd.engine.run.study_place import StudyPlace
from hwkd.io.paths import require_there
from hwkd.io.run_files import RUN_FILE, STATUS_FOLDER
from hwkd.io.run_lock import is_alive, is_held
from hwkd.io.text_files import read_number

_WANTED = "a run folder, or the URL of a database with --study"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtWork:
    """A process at work on a run.

    Attributes:
        host: the machine's name; None is this one.
        trial: Optuna's number of the trial that it runs; None between trials.
        busy_s: seconds since it took the trial, or since it came; None where nothing says so.
        silent_s: seconds since it should have been heard of; 0 when it was. Its trial is taken over
            when this lasts.
        hwkd_version: of the worker; None where nothing says so.
    """

    worker: str
    host: str | None
    pid: int
    trial: int | None
    busy_s: float | None
    silent_s: float
    hwkd_version: str | None


def at_work(run: str, study: str | None) -> tuple[AtWork, ...]:
    """Return who works on a run, by name.

    Args:
        run: its folder, or the URL of a database.
        study: name of the run in the database; None is what the folder says.

    Raises:
        ConfigError: if a URL comes without a study, or there is no such folder.
        RunFolderError: if it is no run.
        UnreachableError: if the database does not answer.
    """
    if "://" in run:
        return _in_database(SharedStudy.find(*_named(run, study)))
    store = RunFolder(Path(run))
    require_there(store.path, _WANTED)
    if not (store.path / RUN_FILE).is_file():
        raise RunFolderError(f"{run}: no {RUN_FILE} in it; it is not a run folder of hwkd search")
    return _in_folder(store.path) if store.shared is None else _in_database(store.shared)


def place_of(run: str, study: str | None) -> tuple[str, str]:
    """Return the URL of the database that holds a run, without a password, and its name there.

    The database is not asked.

    Args:
        study: name of the run in the database; None is what the folder says.

    Raises:
        ConfigError: if a URL comes without a study, or other machines do not reach the run.
    """
    if "://" in run:
        database, name = _named(run, study)
    else:
        require_there(Path(run), _WANTED)
        place = StudyPlace.read(Path(run))
        if place is None:
            raise ConfigError(
                f"{run}: holds its trials itself; start the search with --storage, or name its "
                "database"
            )
        database, name = Database(place.url), place.study
    if database.kind != "postgresql":
        raise ConfigError(
            f"{run}: {database.kind} serves one machine; workers on others need "
            "postgresql://user@host/name"
        )
    return database.url.replace("+psycopg:", ":", 1), name


def _named(url: str, study: str | None) -> tuple[Database, str]:
    if study is None:
        raise ConfigError("--study is missing: a database holds several runs; give its name")
    return Database.of(url), study


def _in_database(shared: SharedStudy) -> tuple[AtWork, ...]:
    database = shared.database
    found = patiently(
        lambda: holders(database, shared.place.study), where=database.url, patience_s=0.0
    )
    return tuple(_seen(holder) for holder in found)


def _seen(holder: Holder) -> AtWork:
    worker, _, place = holder.owner.partition("@")
    host, pid, _ = place.rsplit(":", 2)
    return AtWork(
        worker=worker,
        host=host,
        pid=int(pid),
        trial=holder.trial,
        busy_s=holder.since_s,
        silent_s=max(0.0, -holder.left_s),
        hwkd_version=holder.note.get("hwkd"),
    )


def _in_folder(folder: Path) -> tuple[AtWork, ...]:
    """Read what local workers note beside the run; those of a search that is over are none."""
    if not is_held(folder):
        return ()
    found = []
    for path in sorted((folder / STATUS_FOLDER).glob("*.json")):
        pid, trial = read_number(path, "pid"), read_number(path, "trial")
        if pid is not None and is_alive(int(pid)):
            found.append(
                AtWork(
                    worker=path.stem,
                    host=None,
                    pid=int(pid),
                    trial=None if trial is None else int(trial),
                    busy_s=None,
                    silent_s=0.0,
                    hwkd_version=None,
                )
            )
    return tuple(found)
