"""What heads have in common whose answers turn at no threshold."""

from __future__ import annotations

from typing import TypeVar

from hwkd.core.arrays import AnyArray, Floats, Ints
from hwkd.core.decision_record import DecisionRecord

_Self = TypeVar("_Self", bound="NoThreshold")


class NoThreshold:
    """Answers that are the largest output, or the outputs; see `hwkd.core.head.Head`."""

    __slots__ = ()

    def decide(self, outputs: Floats, targets: AnyArray, wholes: Ints | None = None) -> None:
        """Return nothing: there is no threshold to choose."""
        del outputs, targets, wholes

    def falsely(self, outputs: Floats, targets: AnyArray, wholes: Ints | None = None) -> None:
        """Return nothing, likewise."""
        del outputs, targets, wholes

    def at(self: _Self, decision: DecisionRecord | None) -> _Self:
        """Return the head itself."""
        del decision
        return self
