"""History, proposer, proposal, run, record, file: what one worker process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from hwkd.core.errors import LostLeaseError
from hwkd.core.trial import TrialRecord
from hwkd.engine.run.lease import Lease
from hwkd.engine.run.proposal import History
from hwkd.engine.run.run_teacher import beaten_by, error_to_beat
from hwkd.engine.run.trials import TakenProposal, Trials
from hwkd.engine.search.proposer import Proposer, make_proposer
from hwkd.engine.search.trial_run import TrainedElsewhereError, TrialRunner
from hwkd.engine.setup.context import SearchContext

_MAX_WORKER_DEATHS = 2
# Of the time that the last candidate took, what must be left for another one; and at least so much.
_WORTH_STARTING = 0.5
_LEAST_CANDIDATE_S = 1.0


def run_trials(
    trials: Trials,
    lease: Lease,
    runner: TrialRunner,
    *,
    keep_asking: Callable[[], bool],
    on_start: Callable[[int, int], None],
) -> bool:
    """Run candidates until enough were trained, none is left or `keep_asking` says no.

    Args:
        keep_asking: False ends the loop after the candidate at hand. The end of the search does so,
            too, once what is left is too short for another candidate.
        on_start: hears Optuna's number and the candidate's number before each one.

    Returns:
        Whether no further candidate is wanted or there is none; those that run may come back.
    """
    proposer = make_proposer(runner.context)
    trials.history(runner.context.config.objective)  # read before its turn, while others choose
    last_s = 0.0
    while keep_asking() and (_worth_starting(runner, last_s) or not trials.has_finished()):
        begun = time.monotonic()
        # One worker at a time chooses, so that no two choose the same candidate.
        with lease.asking(), trials.looking_once():
            trials.requeue_lost(lease)
            if trials.is_complete(runner.context.config):
                return True
            if not trials.has_queued() and not _propose(trials, proposer, runner.context):
                return True
            candidate = trials.take()
            if candidate is None:
                continue
            try:
                lease.begin(candidate.trial)
            except LostLeaseError:
                continue
            on_start(candidate.trial, candidate.number)
        record = _run_one(trials, lease, runner, candidate)
        if record.training_s is not None:  # the next ones are judged in a tenth of the time
            runner = replace(runner, scoring_s=0.0)
        with suppress(LostLeaseError):  # this machine was away; another one has the candidate
            lease.filing(candidate.trial, partial(trials.file, candidate, record))
        last_s = time.monotonic() - begun
    return False


def _worth_starting(runner: TrialRunner, last_s: float) -> bool:
    """Tell whether the search lasts long enough for a candidate to be judged fairly."""
    if runner.end_s is None:
        return True
    return runner.end_s - time.monotonic() > max(_LEAST_CANDIDATE_S, _WORTH_STARTING * last_s)


def _propose(trials: Trials, proposer: Proposer, context: SearchContext) -> bool:
    """Queue what the proposer wants next; returns whether there was anything."""
    history = trials.history(context.config.objective)
    if not _has_teacher(history, context):  # the run judges so, too, from then on
        history = replace(history, goal=history.goal.model_copy(update={"beta": 0.0}))
    proposals = proposer.propose(history, 1)
    trials.queue(proposals)
    return bool(proposals)


def _has_teacher(history: History, context: SearchContext) -> bool:
    """Tell whether students learn from a teacher: it is left out once a candidate beat it."""
    error = context.teacher_error
    if error is None:
        return False
    records = (entry.record for entry in history.finished)
    known = (record for record in records if record is not None)
    return beaten_by(error_to_beat(error, context.config), known) is None


def _run_one(
    trials: Trials, lease: Lease, runner: TrialRunner, candidate: TakenProposal
) -> TrialRecord:
    fidelity = candidate.proposal.fidelity

    def find_earlier(network_key: str) -> TrialRecord | None:
        candidate.name_network(network_key)
        if candidate.deaths >= _MAX_WORKER_DEATHS:
            raise RuntimeError(
                f"{candidate.deaths} worker processes died while running this student"
            )
        # Claimed before looking: what another process files meanwhile is seen.
        is_ours = lease.claim(f"{network_key} {fidelity.model_dump_json()}")
        earlier = trials.find_record(network_key, fidelity)
        if earlier is None and not is_ours:
            raise TrainedElsewhereError
        return earlier

    context = runner.context
    return runner.run(
        candidate.proposal,
        find_earlier,
        number=candidate.number,
        has_teacher=_has_teacher(trials.history(context.config.objective), context),
    )
