"""Which student is tried next."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

from hwkd.core.student import ParamValue, StudentSpec
from hwkd.core.trial import ProposalRecord
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.search.chooser import SPACE_PARAM, OptunaChooser, param_name
from hwkd.engine.search.proposals import proposal_record, surrogate_sampler
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.references import ReferenceStudent
from hwkd.propose.sampler import SurrogateSampler
from hwkd.train.seeding import derive_seed

__all__ = [
    "first_choices",
    "make_sampler",
    "nothing_is_left",
    "queue_first_students",
    "reason_of",
    "suggest_student",
]

_STARTUP_TRIALS = 12
# Of the candidates of a search, what reference designs may take: the sampler learns from the rest.
_REFERENCE_SHARE = 0.5
# Where time decides how many candidates there are.
_MOST_REFERENCES = 12
# Every space is tried this often before the sampler may neglect it.
_FIRST_TRIALS_PER_SPACE = 2


def make_sampler(
    context: SearchContext, *, candidate: int, previous: BaseSampler | None = None
) -> BaseSampler:
    """Return the sampler for one candidate.

    What it draws depends on the candidate's number, and it knows only the trials, so a search that
    was killed and resumed goes on exactly as an undisturbed one would.

    Args:
        context: of the search.
        candidate: number of the candidate.
        previous: sampler of an earlier candidate in this process; what it costed is not costed
            again. It decides nothing.
    """
    config = context.config
    if config.sampler == "surrogate":
        known = previous if isinstance(previous, SurrogateSampler) else None
        designs = _first_designs(context.references, config.most_trials)
        sampler = known or surrogate_sampler(context, references=designs)
        sampler.turn = candidate
        return sampler
    seed = derive_seed(config.seed, "sampler", candidate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if config.sampler == "nsga2":
            return NSGAIISampler(seed=seed)
        if config.sampler == "gp":
            return GPSampler(seed=seed)
        if config.sampler == "random":
            return RandomSampler(seed=seed)
        return TPESampler(
            seed=seed,
            n_startup_trials=_STARTUP_TRIALS,
            multivariate=True,
            group=True,
            constant_liar=config.workers > 1,
        )


def queue_first_students(store: RunFolder, context: SearchContext, *, candidate: int) -> None:
    """Fix the first candidates: reference designs, then each space its turns.

    Our own sampler is given the designs and begins with them itself.
    """
    if context.config.sampler == "surrogate":
        return
    first = first_choices(
        context.references, tuple(context.screen.spaces), trials=context.config.most_trials
    )
    if candidate < len(first) and not store.trials.has_queued():
        store.trials.study.enqueue_trial(dict(first[candidate]))


def first_choices(
    references: Sequence[ReferenceStudent], spaces: Sequence[str], *, trials: int | None
) -> tuple[Mapping[str, ParamValue], ...]:
    """Return what is fixed of the first candidates, as parameters of the study.

    Args:
        references: that fit, the first to try first.
        spaces: names of those that are searched.
        trials: trainings of the search; None where time decides.

    Returns:
        For each candidate, from number 0, parameter -> value: all of them for a reference design,
        the space alone for the turns of the spaces.
    """
    turns: list[Mapping[str, ParamValue]] = [
        {SPACE_PARAM: name} for name in (*spaces,) * _FIRST_TRIALS_PER_SPACE
    ]
    return (*_first_designs(references, trials), *turns)


def nothing_is_left(store: RunFolder, sampler: BaseSampler) -> bool:
    """Tell whether every student that fits was tried, as far as the sampler can tell."""
    if not isinstance(sampler, SurrogateSampler) or store.trials.has_queued():
        return False
    return sampler.look_ahead(store.trials.study) is None


def reason_of(sampler: BaseSampler, trial: optuna.Trial) -> ProposalRecord | None:
    """Return why a trial was chosen as it is; None where the sampler does not say."""
    if not isinstance(sampler, SurrogateSampler):
        return None
    proposal = sampler.proposal_of(trial.number)
    return None if proposal is None else proposal_record(proposal)


def suggest_student(trial: optuna.Trial, context: SearchContext) -> StudentSpec:
    """Sample one student through Optuna."""
    spaces = context.screen.spaces
    name = str(trial.suggest_categorical(SPACE_PARAM, list(spaces)))
    return spaces[name].suggest(
        OptunaChooser(trial, name),
        input_shape=context.data.input_shape,
        num_outputs=context.data.num_outputs,
    )


def _first_designs(
    references: Sequence[ReferenceStudent], trials: int | None
) -> list[dict[str, ParamValue]]:
    most = _MOST_REFERENCES if trials is None else int(_REFERENCE_SHARE * trials)
    return [_parameters(design) for design in references[:most]]


def _parameters(design: ReferenceStudent) -> dict[str, ParamValue]:
    space = design.spec.space
    named = {param_name(space, choice): value for choice, value in design.choices.items()}
    return {SPACE_PARAM: space, **named}
