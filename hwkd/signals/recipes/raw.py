"""Raw values as they are."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import FEATURES
from hwkd.signals.features import NothingAfter
from hwkd.signals.step import Shape, Step


@FEATURES.register("raw")
@dataclass(frozen=True, slots=True, kw_only=True)
class Raw(NothingAfter):
    """The raw values, normalised and nothing else."""

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return no step; see `Features.steps`."""
        del shape, rate_hz
        return ()
