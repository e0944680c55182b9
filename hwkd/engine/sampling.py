"""Which student is tried next."""

from __future__ import annotations

import warnings

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler

from hwkd.core.student import StudentSpec
from hwkd.engine.chooser import SPACE_PARAM, OptunaChooser
from hwkd.engine.context import SearchContext
from hwkd.engine.store import RunStore
from hwkd.train.seeding import derive_seed

__all__ = ["make_sampler", "queue_first_students", "suggest_student"]

_STARTUP_TRIALS = 12
# Every space is tried this often before the sampler may neglect it.
_FIRST_TRIALS_PER_SPACE = 2


def make_sampler(context: SearchContext, *, candidate: int) -> BaseSampler:
    """Return the sampler for one candidate.

    It is seeded by the candidate's number and knows only finished trials, so a search that was
    killed and resumed goes on exactly as an undisturbed one would.
    """
    config = context.config
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(
            seed=derive_seed(config.seed, "sampler", candidate),
            n_startup_trials=_STARTUP_TRIALS,
            multivariate=True,
            group=True,
            constant_liar=config.workers > 1,
        )


def queue_first_students(store: RunStore, context: SearchContext, *, candidate: int) -> None:
    """Fix the space of the first few candidates so that each space gets its turns."""
    names = tuple(context.screen.spaces)
    if candidate < _FIRST_TRIALS_PER_SPACE * len(names) and not store.has_queued():
        store.study.enqueue_trial({SPACE_PARAM: names[candidate % len(names)]})


def suggest_student(trial: optuna.Trial, context: SearchContext) -> StudentSpec:
    """Sample one student through Optuna."""
    spaces = context.screen.spaces
    name = str(trial.suggest_categorical(SPACE_PARAM, list(spaces)))
    return spaces[name].suggest(
        OptunaChooser(trial, name),
        input_shape=context.data.input_shape,
        num_outputs=context.data.num_outputs,
    )
