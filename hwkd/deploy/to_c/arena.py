"""Places every buffer of an inference in one array; buffers alive together are apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

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
        first_step: step that writes it.
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


def lower_bound_bytes(buffers: Iterable[Buffer]) -> int:
    """Return the most bytes alive in one step: no plan can be smaller."""
    alive: dict[int, int] = {}
    for buffer in buffers:
        for step in range(buffer.first_step, buffer.last_step + 1):
            alive[step] = alive.get(step, 0) + _aligned(buffer.size_bytes)
    return max(alive.values(), default=0)


def plan_arena(buffers: Sequence[Buffer]) -> ArenaPlan:
    """Place buffers one after the other at the lowest free address, in several orders.

    Returns:
        The smallest plan found; it stops at the lower bound.
    """
    bound = lower_bound_bytes(buffers)
    best: ArenaPlan | None = None
    for order in _orders(buffers):
        plan = _place(order)
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
    rng = np.random.default_rng(0)
    for _ in range(_RANDOM_ORDERS):
        yield [buffers[int(index)] for index in rng.permutation(len(buffers))]


def _place(order: Iterable[Buffer]) -> ArenaPlan:
    offsets: dict[str, int] = {}
    placed: list[tuple[int, int, Buffer]] = []
    for buffer in order:
        size = _aligned(buffer.size_bytes)
        offset = 0
        for start, end, other in sorted(placed, key=lambda item: item[0]):
            if other.meets(buffer) and start < offset + size and offset < end:
                offset = end
        offsets[buffer.name] = offset
        placed.append((offset, offset + size, buffer))
    return ArenaPlan(offsets=offsets, size_bytes=max((end for _, end, _ in placed), default=0))


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
