"""Where an Optuna study lies: a journal file, or a database by its URL."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState

from hwkd.core.errors import ConfigError, RunFolderError, UnreachableError, first_line
from hwkd.engine.run.database import Database, patiently
from hwkd.engine.run.journal import open_storage

STUDY_NAME = "hwkd"


def create_study(location: Path | Database, *, objectives: int, name: str = STUDY_NAME) -> None:
    """Make an empty study; all its objectives are minimised.

    Args:
        location: journal file or database.
        objectives: how many values a trial has.
        name: of the study, where one database holds several.

    Raises:
        RunFolderError: if the database holds a study of that name.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        optuna.create_study(
            study_name=name,
            storage=_storage(location, is_new=True),
            directions=["minimize"] * objectives,
        )
    except DuplicatedStudyError:
        raise RunFolderError(
            f"--study {name}: the database holds a study of that name; choose another name, or "
            "go on with it by --resume"
        ) from None


def load_study(location: Path | Database, *, name: str = STUDY_NAME) -> optuna.Study:
    """Open a study.

    Args:
        location: journal file or database.
        name: of the study.

    Raises:
        RunFolderError: if no study of that name can be read there.
        UnreachableError: if the database does not answer.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.load_study(
            study_name=name,
            storage=_storage(location, is_new=False),
            # Every parameter of a trial is there before it is asked for, so this one draws nothing.
            sampler=optuna.samplers.RandomSampler(seed=0),
        )
    except (ConfigError, UnreachableError):
        raise
    except Exception as error:  # Optuna replays what it finds; what it raises follows the damage
        is_file = isinstance(location, Path)
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        what = "the journal of a search" if is_file else f"the study {name}"
        shown = location if isinstance(location, Path) else location.url
        raise RunFolderError(
            f"{shown}: does not hold {what} ({type(cause).__name__}: {first_line(cause)})"
        ) from error


def _storage(location: Path | Database, *, is_new: bool) -> BaseStorage:
    if isinstance(location, Path):
        return open_storage(location)
    location.require_reachable()
    kwargs = {"connect_args": location.connect_args, "pool_pre_ping": True}
    if location.kind == "postgresql":
        kwargs |= {"pool_size": 1, "max_overflow": 2}
    try:
        storage = patiently(
            lambda: _PatientStorage(location.url, kwargs, skip_table_creation=not is_new),
            where=location.url,
        )
        weakref.finalize(storage, storage.engine.dispose)  # or connections stay open without it
        return storage
    except RuntimeError as error:
        raise ConfigError(
            f"{location.url}: the tables are of another version of Optuna: {first_line(error)}"
        ) from error


class _PatientStorage(RDBStorage):
    """Optuna's tables in a database that may be away for a while."""

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Set it once; an answer that was lost is no reason to fail.

        A trial that only seemed not to be taken is left running: its lease was never begun, so it
        is queued again.
        """
        tries = 0

        def call() -> bool:
            nonlocal tries
            tries += 1
            try:
                return bool(RDBStorage.set_trial_state_values(self, trial_id, state, values))
            except UpdateFinishedTrialError:
                if tries > 1 and self.get_trial(trial_id).state == state:
                    return True
                raise

        return patiently(call, where=self.url)


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: _PatientStorage, *args: Any, **kwargs: Any) -> Any:
        return patiently(partial(method, self, *args, **kwargs), where=self.url)

    return call


# Besides what every storage has, what Optuna's cache in front of a database calls.
_CALLED_BY_CACHE = {"_create_new_trial", "_get_trials", "_set_trial_param"}
for _name in BaseStorage.__abstractmethods__ | _CALLED_BY_CACHE:
    if _name not in vars(_PatientStorage):
        setattr(_PatientStorage, _name, _patient(getattr(RDBStorage, _name)))
