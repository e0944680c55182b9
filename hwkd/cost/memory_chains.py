"""Chains of operators that write over what they read: what they take, and where to end them."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple


class Step(NamedTuple):
    """One operator, or the copy with padding that comes before it; sizes in bytes.

    Attributes:
        place: of the operator.
        source: tensor that the output may lie over; None where there is none.
        drop: how far the target starts below the source; None where they must lie apart.
        held: what else exists.
        apart: what it takes with its target elsewhere.
    """

    place: int
    source: str | None
    target: str
    read: int
    written: int
    drop: int | None
    scratch: int
    held: int
    apart: int


class _Way:
    """Steps in a row that write over what they read, and the memory of their whole way."""

    __slots__ = ("_before", "_high", "_low", "_position", "_spans", "target")

    def __init__(self) -> None:
        self.target: str | None = None  # of the last step; None before the first
        # Lowest and highest byte of each step, its working memory, and what else exists.
        self._spans: list[tuple[int, int, int, int]] = []
        self._position = self._low = self._high = 0
        self._before: tuple[str | None, int, int, int] = (None, 0, 0, 0)

    def add(self, step: Step) -> int:
        """Go one step further; return what the tensors of the whole way take."""
        position, low, high = self._position, self._low, self._high
        self._before = self.target, position, low, high
        _, _, self.target, read, written, drop, scratch, held, _ = step
        if not self._spans:
            high = read
        top = position + read
        position -= drop or 0
        end = position + written
        self._spans.append((position, top if top > end else end, scratch, held))
        self._position = position
        self._low = low = position if position < low else low
        self._high = high = end if end > high else high
        return high - low

    def take_back(self) -> None:
        """Undo the last step; once for each."""
        self._spans.pop()
        self.target, self._position, self._low, self._high = self._before

    def sizes(self) -> list[int]:
        """Return for each step what the whole way, its working memory and the rest take.

        Working memory lies above or below the tensors of its step where the way leaves room.
        """
        low, high = self._low, self._high
        whole = high - low
        found = []
        for bottom, top, scratch, held in self._spans:
            room = high - top
            if bottom - low > room:
                room = bottom - low
            found.append(whole + held + (scratch - room if scratch > room else 0))
        return found

    def largest(self) -> int:
        """Return the largest of the sizes."""
        low, high = self._low, self._high
        most = 0
        for bottom, top, scratch, held in self._spans:
            above, below = high - top, bottom - low
            if scratch > above and scratch > below:
                held += scratch - (above if above > below else below)
            if held > most:
                most = held
        return most + high - low


def _alone(step: Step) -> int:
    """Return the least that a step takes, over its input or apart."""
    if step.drop is None:
        return step.apart
    below = -step.drop
    end = max(step.read, below + step.written)
    beyond = max(step.scratch - max(below, 0), 0)
    return min(step.apart, end - min(below, 0) + beyond + step.held)


def longest_chains(steps: Sequence[Step]) -> list[int]:
    """Return what each step takes, its chain included.

    A chain is cut only where input and output apart take less than the chain with them.
    """
    found: list[int] = []
    way = _Way()
    for step in steps:
        if way.target is not None and step.source != way.target:
            found += way.sizes()
            way = _Way()
        if step.drop is not None:
            if way.add(step) <= step.read + step.written:
                continue
            way.take_back()
        found += way.sizes()
        way = _Way()
        found.append(step.apart)
    found += way.sizes()
    return found


def best_chains(steps: Sequence[Step]) -> list[int]:
    """Return what each step takes, cut so that the chain that takes most takes least.

    A chain ends at a step that lies apart, and the next one starts wherever it likes: an optimum
    follows from the optima of all beginnings. Cutting costs nothing where it takes no more than
    what some step needs in any case.
    """
    floor = 0
    for step in steps:
        if step.apart > floor:
            floor = max(floor, _alone(step))
    # For the first so many steps: their peak, where the last chain begins, whether a cut ends it.
    best: list[tuple[float, int, bool]] = [(inf, 0, False)] * (len(steps) + 1)
    best[0] = (0, 0, False)
    for first in range(len(steps)):
        before = peak = best[first][0]
        if peak == inf:
            continue
        way: _Way | None = None
        for index in range(first, len(steps)):
            step = steps[index]
            elsewhere = step.apart
            cut = peak if peak > elsewhere else elsewhere
            if cut < best[index + 1][0]:
                best[index + 1] = (cut, first, True)
            if step.drop is None or elsewhere <= floor:
                break
            way = way or _Way()
            way.add(step)
            peak = way.largest()
            if before > peak:
                peak = before
            if index + 1 == len(steps) or steps[index + 1].source != step.target:
                best[index + 1] = min(best[index + 1], (peak, first, False))
                break
    return _sizes_of(steps, best)


def _sizes_of(steps: Sequence[Step], best: Sequence[tuple[float, int, bool]]) -> list[int]:
    """Follow the optima back from the last step."""
    found = [step.apart for step in steps]
    end = len(steps)
    while end:
        _, first, is_cut = best[end]
        last = end - 1 if is_cut else end
        if first < last:
            way = _Way()
            for step in steps[first:last]:
                way.add(step)
            found[first:last] = way.sizes()
        end = first
    return found
