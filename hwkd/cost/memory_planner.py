"""Arena planners: where each buffer lies, and in which order operators need the least memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_LASTING_STEPS = 32


class Buffer(NamedTuple):
    """Memory that must exist for a while.

    Attributes:
        name: tensor, or operator that it is the scratch of.
        size: bytes, aligned.
        first: index of the first operator during which it exists.
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

    Source:
        tensorflow/tflite-micro, tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc.
    """
    offsets = [0] * len(buffers)
    # Occupied (offset, end) during each step; most lifetimes are short, so these lists are too.
    occupied: list[list[tuple[int, int]]] = [[] for _ in range(max(steps, 1))]
    # Those that live long would stand in every list: they are looked through instead.
    lasting: list[tuple[int, int, tuple[int, int]]] = []
    order = sorted([(-buffer[1], -index) for index, buffer in enumerate(buffers)])
    for _, place in order:
        index = -place
        _, size, first, last = buffers[index]
        taken = occupied[first]
        if last > first:
            taken = [span for step in occupied[first : last + 1] for span in step]
        if lasting:
            taken = taken + [span for a, b, span in lasting if a <= last and b >= first]
        offset = 0
        for start, end in sorted(taken):
            if start - offset >= size:
                break
            if end > offset:
                offset = end
        offsets[index] = offset
        span = (offset, offset + size)
        if last - first > _LASTING_STEPS:
            lasting.append((first, last, span))
            continue
        for spans in occupied[first : last + 1]:
            spans.append(span)
    return offsets
