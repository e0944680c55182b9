"""Optuna's storage in a database that may be away for a while."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState

from hwkd.core.errors import ConfigError, first_line
from hwkd.engine.run.database import Database, patiently


def open_database(database: Database, *, is_new: bool) -> BaseStorage:
    """Return the storage in a database.

    Args:
        is_new: whether tables that are missing are made.

    Raises:
        UnreachableError: if the database does not answer.
        ConfigError: if it refuses, or another version of Optuna made the tables.
    """
    database.require_reachable()
    kwargs = {"connect_args": database.connect_args, "pool_pre_ping": True}
    if database.kind == "postgresql":
        kwargs |= {"pool_size": 1, "max_overflow": 2}
    try:
        storage = patiently(
            lambda: _PatientStorage(database.url, kwargs, skip_table_creation=not is_new),
            where=database.url,
        )
        weakref.finalize(storage, storage.engine.dispose)  # or connections stay open without it
        return storage
    except RuntimeError as error:
        raise ConfigError(
            f"{database.url}: the tables are of another version of Optuna: {first_line(error)}"
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
