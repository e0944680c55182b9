"""Arena planners: where each buffer lies, and in which order operators need the least memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Buffer", "place_greedily"]


class Buffer(NamedTuple):
    """Memory that must exist for a while.

    Attributes:
        name: tensor, or operator that it is the scratch of.
        size: bytes, aligned.
        first: index of the first operator during which it exists.
        last: index of the last one.
    """

    name: str
    size: int
    first: int
    last: int


def place_greedily(buffers: Sequence[Buffer], steps: int) -> list[int]:
    """Return an offset for each buffer: the largest first, each in the first gap that is free.

    Equal sizes are placed last buffer first, as TFLM does: the order changes the result.

    Args:
        buffers: tensors in their order in the model, then scratch.
        steps: number of operators.

    Source:
        tensorflow/tflite-micro, tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc.
    """
    offsets = [0] * len(buffers)
    # Occupied (offset, end) during each step; lifetimes are short, so these lists are too.
    occupied: list[list[tuple[int, int]]] = [[] for _ in range(max(steps, 1))]
    order = sorted(range(len(buffers)), key=lambda index: (-buffers[index][1], -index))
    for index in order:
        _, size, first, last = buffers[index]
        taken = occupied[first]
        if last > first:
            taken = [span for step in occupied[first : last + 1] for span in step]
        offset = 0
        for start, end in sorted(taken):
            if start - offset >= size:
                break
            if end > offset:
                offset = end
        offsets[index] = offset
        span = (offset, offset + size)
        for step in range(first, last + 1):
            occupied[step].append(span)
    return offsets
