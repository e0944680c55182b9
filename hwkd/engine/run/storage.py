"""Where an Optuna study lies: a journal file, or a database by its URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage

from hwkd.core.errors import ConfigError, RunFolderError, UnreachableError, typed_line
from hwkd.engine.run.journal import open_storage

if TYPE_CHECKING:
    from hwkd.engine.run.database import Database

STUDY_NAME = "hwkd"


def create_study(location: Path | Database, *, objectives: int, name: str = STUDY_NAME) -> None:
    """Make an empty study; all its objectives are minimised.

    Args:
        objectives: how many values a trial has.

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
        raise RunFolderError(f"{shown}: does not hold {what} ({typed_line(cause)})") from error


def _storage(location: Path | Database, *, is_new: bool) -> BaseStorage:
    if isinstance(location, Path):
        return open_storage(location)
    from hwkd.engine.run.patient_storage import open_database  # a run in a folder needs no driver

    return open_database(location, is_new=is_new)
