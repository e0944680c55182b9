"""Which of the trained students ships: never a worse one than the run already holds; pure.

Everything is judged on validation by the int8 file. The best of many is partly lucky, so a mean
over seeds decides where there are several, among students with as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, TypeAlias

__all__ = ["Contender", "shipping"]

Weights: TypeAlias = Literal["brief", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A trained student that meets every limit.

    Attributes:
        name: of the training, unique.
        network: key of the network.
        weights: of the brief training of the search, or of a full one.
        arm: how it was trained: recipe and length; repetitions of one arm differ in the seed alone.
        value: the run's own objective on validation, int8; smaller is better.
        is_taught: by a teacher.
    """

    name: str
    network: str
    weights: Weights
    arm: str
    value: float
    is_taught: bool


def shipping(contenders: Sequence[Contender]) -> Contender:
    """Return the one that ships.

    Of the full trainings, the arm of one network with the best mean, among those with the most
    seeds; of its seeds the best. A tie goes to the arm without a teacher, which needs none. Brief
    weights ship when they are better than that student.

    Args:
        contenders: at least one.
    """
    arms: dict[tuple[str, str], list[Contender]] = {}
    for contender in contenders:
        if contender.weights == "full":
            arms.setdefault((contender.network, contender.arm), []).append(contender)
    brief = [contender for contender in contenders if contender.weights == "brief"]
    best_brief = min(brief, key=lambda contender: contender.value, default=None)
    if not arms:
        if best_brief is None:
            raise ValueError("nothing was trained")
        return best_brief
    most = max(len(arm) for arm in arms.values())
    complete = [arm for arm in arms.values() if len(arm) == most]
    winner = min(complete, key=lambda arm: (fmean(c.value for c in arm), arm[0].is_taught))
    best_full = min(winner, key=lambda contender: contender.value)
    if best_brief is not None and best_brief.value < best_full.value:
        return best_brief
    return best_full
