"""Optuna's Gaussian process on the choices."""

from __future__ import annotations

from optuna.samplers import GPSampler

from hwkd.engine.search.optuna_proposer import OptunaProposer
from hwkd.engine.search.proposer import PROPOSERS, Proposer
from hwkd.engine.setup.context import SearchContext


@PROPOSERS.register("gp")
def gp(context: SearchContext) -> Proposer:
    """Return the proposer of a search."""
    return OptunaProposer(context, lambda seed: GPSampler(seed=seed))
