"""Which student is tried next."""

from __future__ import annotations

import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

from hwkd.core.student import StudentSpec
from hwkd.core.trial import ProposalRecord
from hwkd.engine.chooser import SPACE_PARAM, OptunaChooser
from hwkd.engine.context import SearchContext
from hwkd.engine.proposals import proposal_record, surrogate_sampler
from hwkd.engine.store import RunStore
from hwkd.propose.sampler import SurrogateSampler
from hwkd.train.seeding import derive_seed

__all__ = [
    "make_sampler",
    "nothing_is_left",
    "queue_first_students",
    "reason_of",
    "suggest_student",
]

_STARTUP_TRIALS = 12
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
        sampler = known or surrogate_sampler(context)
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


def queue_first_students(store: RunStore, context: SearchContext, *, candidate: int) -> None:
    """Fix the space of the first few candidates so that each space gets its turns.

    Our own sampler gives them their turns itself.
    """
    if context.config.sampler == "surrogate":
        return
    names = tuple(context.screen.spaces)
    if candidate < _FIRST_TRIALS_PER_SPACE * len(names) and not store.has_queued():
        store.study.enqueue_trial({SPACE_PARAM: names[candidate % len(names)]})


def nothing_is_left(store: RunStore, sampler: BaseSampler) -> bool:
    """Tell whether every student that fits was tried, as far as the sampler can tell."""
    if not isinstance(sampler, SurrogateSampler) or store.has_queued():
        return False
    return sampler.look_ahead(store.study) is None


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
