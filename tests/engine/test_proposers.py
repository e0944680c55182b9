"""Whoever chooses candidates is one registration: a search uses one that was dropped in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.tiny_search import make_run

from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import UnknownNameError
from hwkd.engine.run.proposal import History, Proposal
from hwkd.engine.search.proposer import PROPOSERS, find_proposer, make_proposer
from hwkd.engine.setup.context import SearchContext

NAMES = ("gp", "nsga2", "random", "surrogate", "tpe")


def empty(context: SearchContext) -> History:
    return History(finished=(), pending=(), candidates=0, goal=context.config.objective)


class Counting:
    """Proposes the student of its turn."""

    def __init__(self, context: SearchContext) -> None:
        self._context = context

    def propose(self, history: History, n: int) -> Sequence[Proposal]:
        space = self._context.screen.spaces["narrow_deep"]
        drawn = RandomChooser(history.candidates)
        spec = space.suggest(drawn, input_shape=(1, 8, 8), num_outputs=3)
        return [Proposal(spec=spec, fidelity=self._context.fidelity)]


@pytest.mark.parametrize("name", NAMES)
def test_every_proposer_gives_a_student_that_can_be_built(name: str, tmp_path: Path) -> None:
    context = make_run(tmp_path, sampler=name).runner().context
    (proposal, *_) = make_proposer(context).propose(empty(context), 1)
    assert proposal.spec is not None
    assert context.screen.candidate(proposal.spec).layers.layers
    assert proposal.fidelity == context.fidelity


def test_a_proposer_that_is_dropped_in_is_found_by_its_name(tmp_path: Path) -> None:
    find_proposer("random")
    PROPOSERS.register("counting")(Counting)
    try:
        context = make_run(tmp_path, sampler="counting").runner().context
        (first,) = make_proposer(context).propose(empty(context), 1)
        assert first.spec is not None and first.spec.space == "narrow_deep"
    finally:
        PROPOSERS.take("counting")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="surrogate"):
        find_proposer("surogate")
