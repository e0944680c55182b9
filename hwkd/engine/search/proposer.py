"""What is tried next: the protocol of whoever chooses, and where they are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from hwkd.core.registry import Registry
from hwkd.core.student import ParamValue, StudentSpec
from hwkd.engine.run.proposal import History, Proposal
from hwkd.engine.search.chooser import SPACE_PARAM, OptunaChooser, SuggestingTrial, param_name
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.references import ReferenceStudent
from hwkd.io import discovery

# Of the candidates of a search, what reference designs may take: the proposer learns from the rest.
_REFERENCE_SHARE = 0.5
# Where time decides how many candidates there are.
_MOST_REFERENCES = 12


class Proposer(Protocol):
    """Chooses candidates of one search.

    What it proposes follows from the search, its seed and the history alone, so that a search that
    was killed and resumed goes on as an undisturbed one; what it remembers only saves time.
    """

    def propose(self, history: History, n: int) -> Sequence[Proposal]:
        """Return the candidates to try next.

        Args:
            history: what was tried; the same search's later ones only add to it.
            n: how many at most.

        Returns:
            The first to try first; none when every candidate that fits was tried.
        """
        ...


MakeProposer: TypeAlias = Callable[[SearchContext], Proposer]
PROPOSERS: Registry[MakeProposer] = Registry("sampler")


def find_proposer(name: str) -> MakeProposer:
    """Return what makes the proposer of a name.

    Raises:
        UnknownNameError: if there is none of that name; it offers the nearest.
    """
    discovery.discover("hwkd.engine.search.proposers")
    return PROPOSERS.get(name)


def make_proposer(context: SearchContext) -> Proposer:
    """Return the proposer that a search asks for."""
    return find_proposer(context.config.sampler)(context)


def suggest_student(trial: SuggestingTrial, context: SearchContext) -> StudentSpec:
    """Make the choices of one student on a trial, the search space first."""
    spaces = context.screen.spaces
    name = str(trial.suggest_categorical(SPACE_PARAM, list(spaces)))
    return spaces[name].suggest(
        OptunaChooser(trial, name),
        input_shape=context.data.input_shape,
        num_outputs=context.data.num_outputs,
    )


def first_designs(
    references: Sequence[ReferenceStudent], *, trials: int | None
) -> list[dict[str, ParamValue]]:
    """Return the choices of the reference designs that a search tries first.

    Args:
        trials: trainings of the search; None where something else ends it.
    """
    most = _MOST_REFERENCES if trials is None else max(1, int(_REFERENCE_SHARE * trials))
    return [_parameters(design) for design in references[:most]]


def _parameters(design: ReferenceStudent) -> dict[str, ParamValue]:
    space = design.spec.home
    named = {param_name(space, choice): value for choice, value in design.choices.items()}
    return {SPACE_PARAM: space, **named}
