"""Edges of a scheme by the stage of the student that they teach, weighed by what stages cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hwkd.core.cohort import Exit
from hwkd.distill.scheme import Edge, Phase

_STAGE = "stage"


def taught_stage(phase: Phase, edge: Edge) -> int | None:
    """Return the stage whose maps, or whose exit, an edge teaches, from 1; None of other edges."""
    exits = {role.name: role.stage for role in phase.roles if isinstance(role, Exit)}
    found = set()
    for prediction in edge.predictions if edge.teaches else ():
        role, _, signal = prediction.partition(".")
        number = signal.removeprefix(_STAGE)
        found.add(int(number) if number.isdigit() and signal != number else exits.get(role))
    return found.pop() if len(found) == 1 else None


def teaches_stages(phases: Sequence[Phase]) -> bool:
    """Tell whether any edge teaches a stage by itself."""
    return any(taught_stage(phase, edge) is not None for phase in phases for edge in phase.edges)


def weighed_by_stage(
    phases: Sequence[Phase], importance: Sequence[float] | None
) -> tuple[Phase, ...]:
    """Return phases whose edges to stages count as much as their stages.

    Args:
        importance: of each stage of the student, from the input, mean 1; None leaves all alike.
    """
    if importance is None:
        return tuple(phases)

    def weighed(phase: Phase, edge: Edge) -> Edge:
        stage = taught_stage(phase, edge)
        if stage is None or stage > len(importance):
            return edge
        return replace(edge, weight=edge.weight * importance[stage - 1])

    return tuple(
        replace(phase, edges=tuple(weighed(phase, edge) for edge in phase.edges))
        for phase in phases
    )
