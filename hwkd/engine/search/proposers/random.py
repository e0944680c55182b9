"""Random search: every candidate is drawn for itself."""

from __future__ import annotations

from optuna.samplers import RandomSampler

from hwkd.engine.search.optuna_proposer import OptunaProposer
from hwkd.engine.search.proposer import PROPOSERS, Proposer
from hwkd.engine.setup.context import SearchContext


@PROPOSERS.register("random")
def random(context: SearchContext) -> Proposer:
    """Return the proposer of a search."""
    return OptunaProposer(context, RandomSampler)
