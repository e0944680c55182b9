"""Places every buffer of an inference in one array; buffers alive together are apart.

A buffer may lie over another one that is read for the last time while it is written, if it begins
far enough below it, its lag; or, where the operator works in place, exactly over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np


class Overlap(NamedTuple):
    """How an output may lie over the input that it is made of.

    Attributes:
        lag_bytes: that it must begin below it at least.
        is_exact: it begins just there or lies apart.
    """

    lag_bytes: int
    is_exact: bool = False


# (written, read) -> what is allowed of the two.
Overlaps: TypeAlias = Mapping[tuple[str, str], Overlap]

# Double words may be loaded from any buffer.
ALIGNMENT_BYTES = 8
# Orders tried besides the systematic ones; planning stays below a tenth of a second.
_RANDOM_ORDERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """Bytes needed from one step to another.

    Attributes:
        name: unique.
        size_bytes: > 0.
        last_step: last step that reads it, inclusive.
    """

    name: str
    size_bytes: int
    first_step: int
    last_step: int

    def meets(self, other: Buffer) -> bool:
        """Say whether both are alive in some step."""
        return self.first_step <= other.last_step and other.first_step <= self.last_step


@dataclass(frozen=True, kw_only=True)
class ArenaPlan:
    """Result of planning.

    Attributes:
        offsets: buffer -> first byte, a multiple of `ALIGNMENT_BYTES`.
        size_bytes: end of the last buffer.
    """

    offsets: Mapping[str, int]
    size_bytes: int


def lower_bound_bytes(buffers: Iterable[Buffer], overlaps: Overlaps | None = None) -> int:
    """Return the most bytes that must exist in one step: no plan can be smaller."""
    alive: dict[int, int] = {}
    sizes: dict[str, int] = {}
    first: dict[str, int] = {}
    for buffer in buffers:
        sizes[buffer.name], first[buffer.name] = _aligned(buffer.size_bytes), buffer.first_step
        for step in range(buffer.first_step, buffer.last_step + 1):
            alive[step] = alive.get(step, 0) + sizes[buffer.name]
    for (written, read), overlap in (overlaps or {}).items():
        together = max(sizes[written], sizes[read] + _aligned(overlap.lag_bytes))
        alive[first[written]] -= max(sizes[written] + sizes[read] - together, 0)
    return max(alive.values(), default=0)


def plan_arena(buffers: Sequence[Buffer], overlaps: Overlaps | None = None) -> ArenaPlan:
    """Place buffers one after the other where the arena grows least, in several orders.

    Args:
        overlaps: of pairs that meet in one step alone, which writes the first and reads the second.

    Returns:
        The smallest plan found; it stops at the lower bound.
    """
    overlaps = overlaps or {}
    bound = lower_bound_bytes(buffers, overlaps)
    best: ArenaPlan | None = None
    for order in _orders(buffers):
        plan = _place(order, overlaps)
        if best is None or plan.size_bytes < best.size_bytes:
            best = plan
        if best.size_bytes == bound:
            break
    assert best is not None
    return best


def _orders(buffers: Sequence[Buffer]) -> Iterable[Sequence[Buffer]]:
    """Yield the largest first, the longest alive first, then seeded shuffles."""
    yield sorted(buffers, key=lambda item: (-item.size_bytes, item.first_step))
    yield sorted(buffers, key=lambda item: (item.first_step - item.last_step, -item.size_bytes))
    yield sorted(buffers, key=lambda item: item.first_step)
    yield sorted(buffers, key=lambda item: -item.first_step)
    rng = np.random.default_rng(0)
    for _ in range(_RANDOM_ORDERS):
        yield [buffers[int(index)] for index in rng.permutation(len(buffers))]


def _place(order: Iterable[Buffer], overlaps: Overlaps) -> ArenaPlan:
    """Place in an order; offsets may be negative until all are known."""
    offsets: dict[str, int] = {}
    placed: list[tuple[int, Buffer]] = []
    low = high = 0
    for buffer in order:
        size = _aligned(buffer.size_bytes)
        # Where the buffer may not begin: between these ends, the ends themselves are free.
        taken = sorted(
            part
            for start, other in placed
            if other.meets(buffer)
            for part in _taken(buffer, other, start, overlaps)
        )
        offset = min(_starts(taken, low, high, size), key=lambda at: _span(at, size, low, high))
        offsets[buffer.name] = offset
        placed.append((offset, buffer))
        low, high = min(low, offset), max(high, offset + size)
    return ArenaPlan(
        offsets={name: offset - low for name, offset in offsets.items()}, size_bytes=high - low
    )


def _taken(
    buffer: Buffer, other: Buffer, start: int, overlaps: Overlaps
) -> Iterable[tuple[int, int]]:
    """Yield where a buffer may not begin for another one's sake, the ends of each part excepted."""
    as_written = overlaps.get((buffer.name, other.name))
    as_read = overlaps.get((other.name, buffer.name))
    below, above = start - _aligned(buffer.size_bytes), start + _aligned(other.size_bytes)
    if as_written is not None:
        lag = start - _aligned(as_written.lag_bytes)
        if as_written.is_exact and below < lag:
            yield below, lag
        yield max(below, lag), above
    elif as_read is not None:
        lag = start + _aligned(as_read.lag_bytes)
        yield below, min(lag, above)
        if as_read.is_exact and lag < above:
            yield lag, above
    else:
        yield below, above


def _starts(taken: Sequence[tuple[int, int]], low: int, high: int, size: int) -> list[int]:
    """Return places next to what is taken, in rising order, and the lowest of all."""
    found = []
    free = min([low, high - size, *(first for first, _ in taken)])
    for first, end in taken:
        if first >= free:
            found += [free, first]
        free = max(free, end)
    return [*found, free]


def _span(at: int, size: int, low: int, high: int) -> tuple[int, int]:
    return max(high, at + size) - min(low, at), at


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
