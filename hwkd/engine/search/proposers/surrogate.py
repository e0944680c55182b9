"""Our own: what promises most by a surrogate of what must be measured, per predicted second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from threadpoolctl import ThreadpoolController

from hwkd.core.student import StudentSpec
from hwkd.core.trial import PredictedRecord, ProposalRecord
from hwkd.cost.training_time import predicted_training_s
from hwkd.engine.run.proposal import History, Proposal, Tried
from hwkd.engine.search.candidate_features import graph_features
from hwkd.engine.search.chooser import SPACE_PARAM
from hwkd.engine.search.proposer import PROPOSERS, Proposer, first_designs, suggest_student
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.objective import latency_overrun
from hwkd.propose.candidates import Screened
from hwkd.propose.observations import Observations
from hwkd.propose.problem import Observation, Problem, Recommendation
from hwkd.propose.recommender import Recommender
from hwkd.propose.traces import Suggest, Trace, TraceTrial
from hwkd.train.seeding import derive_seed

# Export, quantisation, scoring and the profile on the host, which every candidate takes alike.
_BESIDE_TRAINING_S = 1.0


@PROPOSERS.register("surrogate")
def surrogate(context: SearchContext) -> Proposer:
    """Return the proposer of a search."""
    return SurrogateProposer(context)


class SurrogateProposer:
    """Proposes what `hwkd.propose` chooses, from the costs and the records of a search."""

    def __init__(self, context: SearchContext) -> None:
        """Describe the search; nothing is screened yet."""
        self._context = context
        self._recommender = Recommender(
            search_problem(context), seed=derive_seed(context.config.seed, "sampler")
        )
        self._observed = Observations(context.config.objective.objectives)
        self._read, self._goal = 0, context.config.objective

    @cached_property
    def _libraries(self) -> ThreadpoolController:
        return ThreadpoolController()

    def propose(self, history: History, n: int) -> Sequence[Proposal]:
        """Return the most promising candidates; see `Proposer.propose`.

        On one thread: the matrices are small, threads that wait for each other cost several times
        the time, and their number must not change what is chosen.
        """
        with self._libraries.limit(limits=1, user_api="blas"):
            return self._proposals(history, n)

    def _proposals(self, history: History, n: int) -> Sequence[Proposal]:
        if history.goal != self._goal:  # all results count for something else now
            self._observed = Observations(history.objectives)
            self._read, self._goal = 0, history.goal
        for entry in history.finished[self._read :]:
            self._observed.add(_observation(entry, history))
        self._read = len(history.finished)
        self._observed.pending[:] = [_observation(entry, history) for entry in history.pending]
        found: list[Proposal] = []
        while len(found) < n:
            number = history.candidates + len(found)
            chosen = self._recommender.recommend(self._observed, turn=number)
            if chosen is None:
                break
            found.append(self._proposal(chosen))
            self._observed.add(
                Observation(
                    number=number,
                    params=chosen.trace.params,
                    key=chosen.screened.key,
                    is_pending=True,
                )
            )
        return found

    def _proposal(self, chosen: Recommendation) -> Proposal:
        made = chosen.trace.made
        if not isinstance(made, StudentSpec):
            raise TypeError(f"a candidate that fits is a student, not {made!r}")
        return Proposal(
            spec=made,
            params=chosen.trace.params,
            domains=chosen.trace.domains,
            fidelity=self._context.fidelity,
            network_key=str(chosen.screened.key),
            why=_why(chosen),
        )


def _why(chosen: Recommendation) -> ProposalRecord:
    predicted = [PredictedRecord(mean=m, deviation=d) for m, d in chosen.predicted[1:]]
    return ProposalRecord(
        origin=chosen.origin,
        parent=chosen.parent,
        task_error=predicted[0] if predicted else None,
        divergence=predicted[1] if predicted else None,
        gain=chosen.gain,
        predicted_s=chosen.screened.seconds,
    )


def search_problem(context: SearchContext) -> Problem[StudentSpec | None]:
    """Return a search as what `hwkd.propose` chooses for."""
    objective = context.config.objective
    chance_error = context.data.head.blind_error(context.data.validation.labels)
    # No network is worth training for less than chance gives. The costs' own limits are kept by
    # screening; the front is measured where students that fit lie, which may be far below.
    limits = (chance_error, None, None, None) if objective.mode == "pareto" else (None,)
    return Problem(
        suggest=_suggest_in(context),
        screen=_screen_of(context),
        objectives=objective.objectives,
        limits=limits,
        group=SPACE_PARAM,
        references=tuple(first_designs(context.references, trials=context.config.most_trials)),
        outputs=2,
        tried=context.config.most_trials,
    )


def _suggest_in(context: SearchContext) -> Suggest[StudentSpec | None]:
    def suggest(trial: TraceTrial) -> StudentSpec | None:
        try:
            return suggest_student(trial, context)
        except Exception:  # a user's space may raise anything: such a candidate does not fit
            return None

    return suggest


def _screen_of(context: SearchContext) -> Callable[[Trace[StudentSpec | None]], Screened]:
    objective, fidelity = context.config.objective, context.fidelity
    question = replace(context.screen.question, by_operator=False)
    whole = replace(context.screen, question=question)
    samples_seen = fidelity.epochs * context.epoch_samples(fidelity)
    is_pareto = objective.mode == "pareto"
    nothing = Screened(
        key=None, is_feasible=False, exact=(None,) * objective.objectives, features=()
    )

    def screen(trace: Trace[StudentSpec | None]) -> Screened:
        if trace.made is None:
            return nothing
        try:
            candidate = whole.candidate(trace.made)
        except Exception:  # as in `_suggest_in`
            return nothing
        if candidate.violations:
            return nothing
        cost = candidate.cost
        latency_s = None if cost.latency is None else cost.latency.value_s
        exact: tuple[float | None, ...] = (None,)
        if is_pareto:
            exact = (None, latency_s, float(cost.peak_ram_bytes), float(cost.flash_bytes))
        overrun = latency_overrun(latency_s, objective.target_latency_s)
        return Screened(
            key=candidate.key,
            is_feasible=True,
            exact=exact,
            features=graph_features(candidate.graph),
            seconds=_BESIDE_TRAINING_S
            + predicted_training_s(candidate.graph, samples_seen=samples_seen),
            offset=0.0 if is_pareto else objective.gamma * overrun,
        )

    return screen


def _observation(entry: Tried, history: History) -> Observation:
    record = entry.record
    if record is None:
        return Observation(
            number=entry.number, params=entry.params, key=entry.network_key, is_pending=True
        )
    terms = record.objective if record.state == "completed" else None
    expected = None if record.proposal is None else record.proposal.task_error
    return Observation(
        number=entry.number,
        params=entry.params,
        key=entry.network_key,
        values=None if terms is None else history.values(record),
        outputs=() if terms is None else (terms.task_error, terms.divergence),
        held=None if terms is None or expected is None else expected.holds(terms.task_error),
    )
