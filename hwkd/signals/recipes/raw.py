"""Raw values as they are."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import FEATURES
from hwkd.signals.step import Shape, Step


@FEATURES.register("raw")
@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """The raw values, normalised and nothing else."""

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return no step; see `Features.steps`."""
        del shape, rate_hz
        return ()

    def after(self, shape: Shape) -> tuple[Step, ...]:
        """Return nothing; see `Features.after`."""
        del shape
        return ()
