"""Why students that looked better than the one that ships were left behind, in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hwkd.engine.arms.verdict import Contender, expected_luck

# Of two values that differ in nothing but the error.
_SAME = 1e-9


def ahead_by_luck(
    competing: Sequence[Contender], winner: Contender, deviation: float
) -> tuple[str, ...]:
    """Name brief weights that looked better than what ships, by no more than luck explains.

    Args:
        deviation: standard error of a value on validation.
    """
    brief = [contender for contender in competing if contender.weights == "brief"]
    best = min(brief, key=lambda contender: contender.value, default=winner)
    if winner.value <= best.value:
        return ()
    luck = expected_luck(len(brief), deviation)
    return (
        f"{_ahead(best, winner)}; the best of {len(brief)} brief trainings looks {luck:.2g} better "
        "than it is",
    )


def ahead_on_plain_alone(competing: Sequence[Contender], winner: Contender) -> tuple[str, ...]:
    """Name full weights that looked better than what ships until varied copies were asked."""
    rivals = [c for c in competing if c.weights == "full" and c.value < winner.value]
    best = min(rivals, key=lambda contender: contender.value, default=None)
    if best is None or best.steadier is None or winner.steadier is None:
        return ()
    if best.steadier < winner.steadier:
        return ()  # more seeds decided, which the table of trainings shows
    behind = best.steadier - winner.steadier
    return (
        f"{_ahead(best, winner)}, and on varied copies of the same examples "
        f"{f'{behind:.2g} higher' if behind else 'as high'}; those are more examples and decide",
    )


def _ahead(rival: Contender, winner: Contender) -> str:
    ahead = winner.value - rival.value
    return (
        f"{rival.told or rival.name}: its {_what(rival, winner)} was {ahead:.2g} lower than that "
        "of the weights that ship"
    )


def _what(rival: Contender, winner: Contender) -> str:
    """Return what two values differ in: the error, where no other term makes a difference."""
    if rival.error is None or winner.error is None:
        return "objective on validation"
    by_error, ahead = winner.error - rival.error, winner.value - rival.value
    is_error = math.isclose(by_error, ahead, abs_tol=_SAME)
    return "validation error" if is_error else "objective on validation"
