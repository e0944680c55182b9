"""Ask, run, tell: what one worker process does until the search is over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from hwkd.core.errors import RunFolderError
from hwkd.core.student import StudentSpec
from hwkd.core.trial import TrialRecord
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.trials import ATTR_DEATHS, ATTR_NETWORK_KEY, ATTR_PROPOSAL
from hwkd.engine.search.sampling import (
    make_sampler,
    nothing_is_left,
    queue_first_students,
    reason_of,
    suggest_student,
)
from hwkd.engine.search.teacher_stage import beaten_by
from hwkd.engine.search.trial_run import TrialRunner
from hwkd.io.run_text import run_writes

__all__ = ["run_trials"]

_MAX_WORKER_DEATHS = 2
# Of the time that the last candidate took, what must be left for another one; and at least so much.
_WORTH_STARTING = 0.5
_LEAST_CANDIDATE_S = 1.0
# A sampler that cannot look ahead proposes students that do not fit or that were tried; a search
# in which nothing fits ends after so many candidates for each training wanted.
_MOST_ASKED = 25


def run_trials(
    store: RunFolder,
    runner: TrialRunner,
    *,
    keep_asking: Callable[[], bool],
    on_start: Callable[[int, int], None],
) -> None:
    """Run candidates until enough were trained, none is left or `keep_asking` says no.

    Args:
        store: of the run.
        runner: runs one candidate.
        keep_asking: False ends the loop after the candidate at hand. The end of the search does so,
            too, once what is left is too short for another candidate.
        on_start: hears Optuna's number and the candidate's number before each one.
    """
    trials = runner.context.config.most_trials or math.inf
    sampler: BaseSampler | None = None
    last_s = 0.0
    while keep_asking() and (_worth_starting(runner, last_s) or not store.trials.finished_trials()):
        begun = time.monotonic()
        # One worker at a time chooses, so that no two choose the same candidate.
        with store.lease.asking():
            started = store.trials.candidates_started()
            if store.trials.trainings_started() >= trials or started >= _MOST_ASKED * trials:
                return
            sampler = make_sampler(runner.context, candidate=started, previous=sampler)
            store.trials.study.sampler = sampler
            with run_writes(store.path):
                queue_first_students(store, runner.context, candidate=started)
            if nothing_is_left(store, sampler):
                return
            with run_writes(store.path):
                trial = store.trials.study.ask()
            number = store.trials.candidate_number(trial)
            on_start(trial.number, number)
            suggested = _suggested(store, runner, trial, sampler)
        _run_one(store, runner, trial, number, suggested)
        last_s = time.monotonic() - begun


def _worth_starting(runner: TrialRunner, last_s: float) -> bool:
    """Tell whether the search lasts long enough for a candidate to be judged fairly."""
    if runner.end_s is None:
        return True
    return runner.end_s - time.monotonic() > max(_LEAST_CANDIDATE_S, _WORTH_STARTING * last_s)


def _suggested(
    store: RunFolder, runner: TrialRunner, trial: optuna.Trial, sampler: BaseSampler
) -> StudentSpec | Exception:
    """Return the student of a trial, or what went wrong, which the trial's record is to say."""
    try:
        with run_writes(store.path):
            spec = suggest_student(trial, runner.context)
            why = reason_of(sampler, trial)
            if why is not None:
                trial.set_user_attr(ATTR_PROPOSAL, why.model_dump_json())
    except RunFolderError:
        raise
    except Exception as error:  # a user's space may raise anything
        return error
    return spec


def _run_one(
    store: RunFolder,
    runner: TrialRunner,
    trial: optuna.Trial,
    number: int,
    suggested: StudentSpec | Exception,
) -> None:
    def suggest() -> StudentSpec:
        if isinstance(suggested, Exception):
            raise suggested
        return suggested

    def find_earlier(network_key: str) -> TrialRecord | None:
        with run_writes(store.path):
            trial.set_user_attr(ATTR_NETWORK_KEY, network_key)
        deaths = trial.user_attrs.get(ATTR_DEATHS, 0)
        if deaths >= _MAX_WORKER_DEATHS:
            raise RuntimeError(f"{deaths} worker processes died while running this student")
        return store.trials.find_record(network_key)

    error = runner.context.teacher_error
    has_teacher = error is not None and beaten_by(error, store.trials.records()) is None
    record = runner.run(suggest, find_earlier, number=number, has_teacher=has_teacher)
    store.trials.finish(trial, record)
