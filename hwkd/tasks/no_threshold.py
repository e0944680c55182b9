"""What heads have in common whose answers turn at no threshold."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.decision_record import DecisionRecord

_Self = TypeVar("_Self", bound="NoThreshold")


class NoThreshold:
    """Answers that are the largest output, or the outputs; see `hwkd.core.head.Head`."""

    __slots__ = ()

    def decide(
        self,
        outputs: NDArray[np.float32],
        targets: NDArray[Any],
        wholes: NDArray[np.int64] | None = None,
    ) -> None:
        """Return nothing: there is no threshold to choose."""
        del outputs, targets, wholes

    def at(self: _Self, decision: DecisionRecord | None) -> _Self:
        """Return the head itself."""
        del decision
        return self
