"""Optuna's storage in a database that may be away for a while."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Container, Sequence
from copy import copy
from functools import partial, wraps
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import bindparam, select, text

from hwkd.core.errors import ConfigError, first_line
from hwkd.engine.run.database import Database, patiently

_STATES = text(
    "SELECT trial_id, state FROM trials WHERE study_id = :study "
    "AND (trial_id > :last OR trial_id IN :open)"
).bindparams(bindparam("open", expanding=True))
_LARGEST_ID = 2**31 - 1
# A trial's number is one more than that of the one before it in its study.
_INSERT = text(
    "INSERT INTO trials (study_id, state, number) VALUES (:study, :state, COALESCE("
    "(SELECT number + 1 FROM trials WHERE study_id = :study ORDER BY trial_id DESC LIMIT 1), 0)) "
    "RETURNING trial_id, number"
)


def open_database(database: Database, *, is_new: bool) -> BaseStorage:
    """Return the storage in a database.

    Args:
        is_new: whether tables that are missing are made.

    Raises:
        UnreachableError: if the database does not answer.
        ConfigError: if it refuses, or another version of Optuna made the tables.
    """
    database.require_reachable()
    kwargs = {"connect_args": database.connect_args, **database.pooling}
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
    """Optuna's tables in a database that may be away for a while, read as little as will do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Open it, as `RDBStorage`; nothing is read yet."""
        super().__init__(*args, **kwargs)
        self._seen: dict[int, TrialState] = {}  # of the trials that are not finished
        self._made: dict[int, FrozenTrial] = {}  # by this process, and not looked at since

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Return trials for Optuna's cache: those that are new or changed their state.

        The cache asks for every trial that is not finished, whole, each time that anything is
        asked of the study: hundreds of rows where some dozens of workers are busy, and nearly all
        of them as before. What a worker notes beside a trial that it runs is thus seen when the
        trial is finished, unless that one is asked for by itself.
        """

        def call() -> list[FrozenTrial]:
            if trial_id_greater_than < 0 or states is not None:  # a first look at everything
                whole = (study_id, states, included_trial_ids, trial_id_greater_than)
                return RDBStorage._get_trials(self, *whole)
            asked = {"study": study_id, "last": trial_id_greater_than}
            once = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            with once as connection:
                found = connection.execute(_STATES, {**asked, "open": sorted(included_trial_ids)})
                states_now = {row.trial_id: TrialState[row.state] for row in found}
            changed = {key for key, state in states_now.items() if self._seen.get(key) != state}
            own = [trial for key, trial in self._made.items() if states_now.get(key) == trial.state]
            changed.difference_update([trial._trial_id for trial in own])
            if not changed:
                return own
            return own + RDBStorage._get_trials(self, study_id, None, changed, _LARGEST_ID)

        trials = sorted(patiently(call, where=self.url), key=lambda trial: trial._trial_id)
        self._made.clear()
        for trial in trials:
            if trial.state.is_finished():
                self._seen.pop(trial._trial_id, None)
            else:
                self._seen[trial._trial_id] = trial.state
        return trials

    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        """Add a trial; one that waits in a few statements in place of several for each choice."""
        if template_trial is None or template_trial.state != TrialState.WAITING:
            create = partial(RDBStorage._create_new_trial, self, study_id, template_trial)
            return patiently(create, where=self.url)
        trial = patiently(partial(self._add_waiting, study_id, template_trial), where=self.url)
        self._made[trial._trial_id] = trial
        return trial

    def _add_waiting(self, study_id: int, template: FrozenTrial) -> FrozenTrial:
        """Insert a trial into Optuna's tables, its number counted while the study is locked."""
        with self.engine.begin() as connection:
            study = models.StudyModel.__table__
            find = select(study.c.study_id).where(study.c.study_id == study_id).with_for_update()
            connection.execute(find).one()
            made = {"study": study_id, "state": template.state.name}
            trial_id, number = connection.execute(_INSERT, made).one()
            params = [
                {
                    "trial_id": trial_id,
                    "param_name": name,
                    "param_value": domain.to_internal_repr(template.params[name]),
                    "distribution_json": distribution_to_json(domain),
                }
                for name, domain in template.distributions.items()
            ]
            notes = [
                {"trial_id": trial_id, "key": name, "value_json": json.dumps(value)}
                for name, value in template.user_attrs.items()
            ]
            for table, rows in (
                (models.TrialParamModel.__table__, params),
                (models.TrialUserAttributeModel.__table__, notes),
            ):
                if rows:  # what is returned makes it one statement
                    connection.execute(table.insert().returning(table.c.trial_id), rows).all()
        trial = copy(template)
        trial.number, trial._trial_id = number, trial_id
        return trial

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
_CALLED_BY_CACHE = {"_set_trial_param"}
for _name in BaseStorage.__abstractmethods__ | _CALLED_BY_CACHE:
    if _name not in vars(_PatientStorage):
        setattr(_PatientStorage, _name, _patient(getattr(RDBStorage, _name)))
