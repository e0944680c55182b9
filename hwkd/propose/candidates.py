"""Candidates that were screened: exact costs and features, by arithmetic, each computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from hwkd.propose.traces import Trace

T = TypeVar("T")

# Two generations of this many candidates are remembered.
_REMEMBERED = 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """What arithmetic says about a candidate.

    Attributes:
        key: equal for candidates that come to the same thing, which is tried once.
        is_feasible: it keeps every limit that arithmetic can check.
        exact: one entry per objective: its value (smaller is better) where arithmetic knows it,
            None where it must be measured.
        features: numbers that tell about the result, the same for all candidates; NaN where one
            has no meaning. Empty where the caller knows none: then the numbers chosen serve.
        seconds: predicted time of trying it; only ratios matter.
        offset: known part of a single measured objective, for example a penalty on the costs.
    """

    key: Hashable
    is_feasible: bool
    exact: tuple[float | None, ...]
    features: tuple[float, ...]
    seconds: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class ScreenedTrace:
    """A trace and what its screening said; each object is a key of its own, found at once."""

    trace: Trace[object]
    screened: Screened


class Screening(Generic[T]):
    """Screens traces and remembers the answers; a pure function made fast."""

    def __init__(self, screen: Callable[[Trace[T]], Screened]) -> None:
        """Wrap the function that costs a candidate."""
        self._screen = screen
        self._young: dict[Hashable, ScreenedTrace] = {}
        self._old: dict[Hashable, ScreenedTrace] = {}

    def __call__(self, trace: Trace[T]) -> ScreenedTrace:
        """Return the screened candidate."""
        identity = trace.identity
        found = self._young.get(identity) or self._old.get(identity)
        if found is None:
            found = ScreenedTrace(trace, self._screen(trace))
        if len(self._young) >= _REMEMBERED:
            self._old, self._young = self._young, {}
        self._young[identity] = found
        return found


def screen_by_choices(objectives: int) -> Callable[[Trace[object]], Screened]:
    """Return a screen for a caller who has none: everything must be measured."""

    def screen(trace: Trace[object]) -> Screened:
        return Screened(
            key=trace.identity,
            is_feasible=True,
            exact=(None,) * objectives,
            features=(),
        )

    return screen
