"""Which student is tried next."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler

from hwkd.core.student import ParamValue, StudentSpec
from hwkd.engine.chooser import SPACE_PARAM, OptunaChooser, param_name
from hwkd.engine.context import SearchContext
from hwkd.engine.references import ReferenceStudent
from hwkd.engine.store import RunStore
from hwkd.train.seeding import derive_seed

__all__ = ["first_choices", "make_sampler", "queue_first_students", "suggest_student"]

_STARTUP_TRIALS = 12
# Of the candidates of a search, what reference designs may take: the sampler learns from the rest.
_REFERENCE_SHARE = 0.5
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
    """Fix the first candidates: reference designs, then each space its turns."""
    first = first_choices(
        context.references, tuple(context.screen.spaces), trials=context.config.most_trials or 40
    )
    if candidate < len(first) and not store.has_queued():
        store.study.enqueue_trial(dict(first[candidate]))


def first_choices(
    references: Sequence[ReferenceStudent], spaces: Sequence[str], *, trials: int
) -> tuple[Mapping[str, ParamValue], ...]:
    """Return what is fixed of the first candidates, as parameters of the study.

    Args:
        references: that fit, the first to try first.
        spaces: names of those that are searched.
        trials: candidates of the search.

    Returns:
        For each candidate, from number 0, parameter -> value: all of them for a reference design,
        the space alone for the turns of the spaces.
    """
    designs = references[: int(_REFERENCE_SHARE * trials)]
    turns: list[Mapping[str, ParamValue]] = [
        {SPACE_PARAM: name} for name in (*spaces,) * _FIRST_TRIALS_PER_SPACE
    ]
    return (*(_parameters(design) for design in designs), *turns)


def suggest_student(trial: optuna.Trial, context: SearchContext) -> StudentSpec:
    """Sample one student through Optuna."""
    spaces = context.screen.spaces
    name = str(trial.suggest_categorical(SPACE_PARAM, list(spaces)))
    return spaces[name].suggest(
        OptunaChooser(trial, name),
        input_shape=context.data.input_shape,
        num_outputs=context.data.num_outputs,
    )


def _parameters(design: ReferenceStudent) -> Mapping[str, ParamValue]:
    space = design.spec.space
    named = {param_name(space, choice): value for choice, value in design.choices.items()}
    return {SPACE_PARAM: space, **named}
