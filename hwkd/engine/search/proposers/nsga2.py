"""Optuna's NSGA-II: generations of candidates, crossed and mutated."""

from __future__ import annotations

from optuna.samplers import NSGAIISampler

from hwkd.engine.search.optuna_proposer import OptunaProposer
from hwkd.engine.search.proposer import PROPOSERS, Proposer
from hwkd.engine.setup.context import SearchContext


@PROPOSERS.register("nsga2")
def nsga2(context: SearchContext) -> Proposer:
    """Return the proposer of a search."""
    return OptunaProposer(context, lambda seed: NSGAIISampler(seed=seed))
