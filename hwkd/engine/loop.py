"""Ask, run, tell: what one worker process does until the search is over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import optuna

from hwkd.core.student import StudentSpec
from hwkd.core.trial import TrialRecord
from hwkd.engine.sampling import make_sampler, queue_first_students, suggest_student
from hwkd.engine.store import ATTR_DEATHS, ATTR_NETWORK_KEY, RunStore
from hwkd.engine.teacher_stage import beaten_by
from hwkd.engine.trial_run import TrialRunner

__all__ = ["run_trials"]

_MAX_WORKER_DEATHS = 2
# Of the time that the last candidate took, what must be left for another one; and at least so much.
_WORTH_STARTING = 0.5
_LEAST_CANDIDATE_S = 1.0


def run_trials(
    store: RunStore,
    runner: TrialRunner,
    *,
    keep_asking: Callable[[], bool],
    on_start: Callable[[int, int], None],
) -> None:
    """Run candidates until enough were sampled or `keep_asking` says no.

    Args:
        store: of the run.
        runner: runs one candidate.
        keep_asking: False ends the loop after the candidate at hand. The end of the search does so,
            too, once what is left is too short for another candidate.
        on_start: hears Optuna's number and the candidate's number before each one.
    """
    wanted = runner.context.config.most_trials or math.inf
    last_s = 0.0
    while keep_asking() and (_worth_starting(runner, last_s) or not store.finished_trials()):
        started = store.candidates_started()
        if started >= wanted:
            return
        store.study.sampler = make_sampler(runner.context, candidate=started)
        with store.writes():
            queue_first_students(store, runner.context, candidate=started)
            trial = store.study.ask()
        number = store.candidate_number(trial)
        if number >= wanted:  # another worker asked for the last one at the same moment
            with store.writes():
                store.discard(trial)
            return
        on_start(trial.number, number)
        begun = time.monotonic()
        _run_one(store, runner, trial, number)
        last_s = time.monotonic() - begun


def _worth_starting(runner: TrialRunner, last_s: float) -> bool:
    """Tell whether the search lasts long enough for a candidate to be judged fairly."""
    if runner.end_s is None:
        return True
    return runner.end_s - time.monotonic() > max(_LEAST_CANDIDATE_S, _WORTH_STARTING * last_s)


def _run_one(store: RunStore, runner: TrialRunner, trial: optuna.Trial, number: int) -> None:
    def suggest() -> StudentSpec:
        with store.writes():
            return suggest_student(trial, runner.context)

    def find_earlier(network_key: str) -> TrialRecord | None:
        with store.writes():
            trial.set_user_attr(ATTR_NETWORK_KEY, network_key)
        deaths = trial.user_attrs.get(ATTR_DEATHS, 0)
        if deaths >= _MAX_WORKER_DEATHS:
            raise RuntimeError(f"{deaths} worker processes died while running this student")
        return store.find_record(network_key)

    accuracy = runner.context.teacher_accuracy
    has_teacher = accuracy is not None and beaten_by(accuracy, store.records()) is None
    record = runner.run(suggest, find_earlier, number=number, has_teacher=has_teacher)
    store.finish(trial, record)
