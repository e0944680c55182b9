"""Finished trials without training: random students that fit, with an error that follows size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from optuna.trial import FrozenTrial, TrialState, create_trial

from hwkd.core.errors import HwkdError
from hwkd.core.metric import ScoresRecord
from hwkd.core.trial import EpochRecord, ObjectiveRecord, TrialRecord
from hwkd.engine.run.proposal import Proposal
from hwkd.engine.search.proposer import suggest_student
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.objective import objective_values
from hwkd.engine.setup.screening import Candidate
from hwkd.propose.traces import TraceTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUpTrial:
    """One trial, as the study and as `trials.jsonl` hold it."""

    trial: FrozenTrial
    record: TrialRecord


def made_up_trials(context: SearchContext, count: int, *, first: int = 0) -> Iterator[MadeUpTrial]:
    """Yield distinct students that fit, each with a whole record.

    Args:
        context: of the search.
        count: of them.
        first: number of the first.
    """
    random, seen = Random(0), set[str]()
    while len(seen) < count:
        trial = TraceTrial({}, random)
        try:
            candidate = context.screen.candidate(suggest_student(trial, context))
        except HwkdError:
            continue
        if candidate.violations or candidate.layers.key in seen:
            continue
        record = made_up_record(first + len(seen), candidate, random)
        seen.add(candidate.layers.key)
        proposal = Proposal(spec=candidate.spec, fidelity=context.fidelity)
        stored = create_trial(
            state=TrialState.COMPLETE,
            values=list(objective_values(record, context.config.objective.objectives)),
            params=dict(trial.params),
            distributions=dict(trial.domains),
            user_attrs={
                "hwkd.stored_proposal": proposal.stored(),
                "hwkd.fidelity": proposal.fidelity.model_dump_json(),
                "hwkd.network_key": candidate.layers.key,
                "hwkd.record": record.model_dump_json(),
            },
        )
        yield MadeUpTrial(trial=stored, record=record)


def made_up_record(number: int, candidate: Candidate, random: Random) -> TrialRecord:
    """Return the record of a training that was not made; its costs are true, its scores are not."""
    graph = candidate.graph
    size = 0.04 * math.log(graph.macs) + 0.03 * math.log(graph.params)
    error = min(0.9, max(0.02, 1.0 - size + random.gauss(0.0, 0.02)))
    score = {"accuracy": 1.0 - error}
    return TrialRecord(
        number=number,
        state="completed",
        spec=candidate.spec,
        seed=0,
        cost=candidate.cost,
        scores=ScoresRecord(validation_float=score, validation_int8=score),
        epochs=tuple(
            EpochRecord(epoch=epoch, learning_rate=0.01, losses={"labels": error})
            for epoch in (1, 2)
        ),
        objective=ObjectiveRecord(
            task_error=error, divergence=2 * error, latency_overrun=0.0, value=error
        ),
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=1.0,
    )
