"""Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

from optuna.samplers import TPESampler

from hwkd.engine.search.optuna_proposer import OptunaProposer
from hwkd.engine.search.proposer import PROPOSERS, Proposer
from hwkd.engine.setup.context import SearchContext

_STARTUP_TRIALS = 12


@PROPOSERS.register("tpe")
def tpe(context: SearchContext) -> Proposer:
    """Return the proposer of a search."""
    return OptunaProposer(
        context,
        lambda seed: TPESampler(
            seed=seed,
            n_startup_trials=_STARTUP_TRIALS,
            multivariate=True,
            group=True,
            constant_liar=context.config.workers != 1,
        ),
    )
