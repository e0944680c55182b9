"""Where an Optuna study lies: a journal file, or a database by its URL."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages import BaseStorage, RDBStorage

from hwkd.core.errors import ConfigError, RunFolderError, first_line
from hwkd.engine.run.journal import open_storage

__all__ = ["create_study", "load_study"]

STUDY_NAME = "hwkd"
# Two processes that ask at once wait for each other; SQLite's own five seconds end a busy search.
_SQLITE_WAITS_S = 60.0


def create_study(location: Path | str, *, objectives: int, name: str = STUDY_NAME) -> None:
    """Make an empty study; all its objectives are minimised.

    Args:
        location: journal file, or URL of a database as SQLAlchemy takes it.
        objectives: how many values a trial has.
        name: of the study, where one database holds several.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(
        study_name=name, storage=_storage(location), directions=["minimize"] * objectives
    )


def load_study(location: Path | str, *, name: str = STUDY_NAME) -> optuna.Study:
    """Open a study.

    Args:
        location: as `create_study` takes it.
        name: of the study.

    Raises:
        RunFolderError: if no study of that name can be read there.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.load_study(
            study_name=name,
            storage=_storage(location),
            # Every parameter of a trial is there before it is asked for, so this one draws nothing.
            sampler=optuna.samplers.RandomSampler(seed=0),
        )
    except ConfigError:
        raise
    except Exception as error:  # Optuna replays what it finds; what it raises follows the damage
        what = "the journal of a search" if isinstance(location, Path) else f"the study {name}"
        raise RunFolderError(
            f"{location}: does not hold {what} ({type(error).__name__}: {first_line(error)})"
        ) from error


def _storage(location: Path | str) -> BaseStorage:
    if isinstance(location, Path):
        return open_storage(location)
    waits = {"timeout": _SQLITE_WAITS_S} if location.startswith("sqlite") else {}
    try:
        return RDBStorage(location, engine_kwargs={"connect_args": waits})
    except ImportError as error:
        raise ConfigError(
            f"{location}: the driver of this database is not installed ({first_line(error)}); "
            "install it with pip, or use another URL"
        ) from error
