"""Optuna's samplers as proposers: each proposal is asked of a study in memory.

The study repeats the history, so a sampler sees what it would see in the run's own; it is made anew
for each proposal, and its sampler is seeded by the candidate's number.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from hwkd.core.errors import typed_line
from hwkd.core.student import ParamValue
from hwkd.engine.run.proposal import History, Proposal, Tried
from hwkd.engine.search.chooser import SPACE_PARAM
from hwkd.engine.search.proposer import first_designs, suggest_student
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.references import ReferenceStudent
from hwkd.train.seeding import derive_seed

# Every space is tried this often before the sampler may neglect it.
_FIRST_TRIALS_PER_SPACE = 2


class OptunaProposer:
    """Proposes what one of Optuna's samplers draws."""

    def __init__(self, context: SearchContext, sampler: Callable[[int], BaseSampler]) -> None:
        """Remember how a sampler is made.

        Args:
            sampler: seed -> sampler.
        """
        self._context = context
        self._sampler = sampler
        self._first = first_choices(
            context.references, tuple(context.screen.spaces), trials=context.config.most_trials
        )

    def propose(self, history: History, n: int) -> Sequence[Proposal]:
        """Return what the sampler draws; see `Proposer.propose`."""
        study = optuna.create_study(directions=["minimize"] * history.objectives)
        study.add_trials([_frozen(entry, history) for entry in _in_order(history)])
        return [self._asked(study, history.candidates + index) for index in range(n)]

    def _asked(self, study: optuna.Study, candidate: int) -> Proposal:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            seed = derive_seed(self._context.config.seed, "sampler", candidate)
            study.sampler = self._sampler(seed)
        if candidate < len(self._first):
            study.enqueue_trial(self._first[candidate])
        trial = study.ask()
        spec, failure = None, None
        try:
            spec = suggest_student(trial, self._context)
        except Exception as error:  # a user's space may raise anything: the record says what
            failure = typed_line(error)
        drawn = study.get_trials(deepcopy=False)[trial.number]
        kept = {k: v for k, v in drawn.system_attrs.items() if k != "fixed_params"}
        return Proposal(
            spec=spec,
            params=drawn.params,
            domains=drawn.distributions,
            fidelity=self._context.fidelity,
            memory=kept,  # for example the generation that it belongs to
            failure=failure,
        )


def first_choices(
    references: Sequence[ReferenceStudent], spaces: Sequence[str], *, trials: int | None
) -> list[dict[str, ParamValue]]:
    """Return what is fixed of the first candidates: reference designs, then each space its turns.

    Args:
        trials: trainings of the search; None where something else ends it.

    Returns:
        For each candidate, from number 0, parameter -> value: all of them for a reference design,
        the space alone for the turns of the spaces.
    """
    turns: list[dict[str, ParamValue]] = [
        {SPACE_PARAM: name} for name in (*spaces,) * _FIRST_TRIALS_PER_SPACE
    ]
    return [*first_designs(references, trials=trials), *turns]


def _in_order(history: History) -> list[Tried]:
    return sorted((*history.finished, *history.pending), key=lambda entry: entry.number)


def _frozen(entry: Tried, history: History) -> FrozenTrial:
    values = () if entry.record is None else history.values(entry.record)
    return create_trial(
        state=_state(entry, history),
        values=list(values) or None,
        params=dict(entry.params),
        distributions=dict(entry.domains),
        system_attrs=dict(entry.memory),
    )


def _state(entry: Tried, history: History) -> OptunaState:
    record = entry.record
    if record is None:
        return OptunaState.RUNNING
    if history.values(record):
        return OptunaState.COMPLETE
    # Optuna's samplers cannot rank pruned trials of several objectives.
    can_rank = record.state != "failed" and history.objectives == 1
    return OptunaState.PRUNED if can_rank else OptunaState.FAIL
