"""The execution order of a small graph that needs the least memory at its worst moment."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from hwkd.core.graph import OpGraph

# Sets of operators are what is searched; of more operators hardly any part of them is seen.
MOST_ORDERED_OPS = 200
# Sets examined before the search settles for the given order.
_MOST_EXAMINED = 10_000
# Sets put into the queue; wide graphs reach many from each.
_MOST_QUEUED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlan:
    """An order and what it saves.

    Attributes:
        names: operators in the order found.
        peak_bytes: activation bytes alive at the worst moment in that order.
        given_peak_bytes: the same for the order as given.
    """

    names: tuple[str, ...]
    peak_bytes: int
    given_peak_bytes: int


def find_order(graph: OpGraph, element_bytes: int) -> OrderPlan:
    """Search the orders that the data flow allows, the one with the smallest peak first.

    Best-first over the sets of operators already run: the first complete set taken from the queue
    has the smallest possible peak. A chain has one order; residual branches have a few thousand.

    Args:
        graph: operators that run; scratch is left out because no order changes it.
    """
    flow = _Flow(graph, element_bytes)
    given_peak, done = 0, 0
    for index in range(len(graph.ops)):
        given_peak = max(given_peak, flow.bytes_alive(done) + flow.written_bytes[index])
        done |= 1 << index
    everything = done
    queue: list[tuple[int, int, int]] = [(flow.bytes_alive(0), 0, 0)]
    came_from: dict[int, tuple[int, int]] = {}
    best = {0: queue[0][0]}
    examined = 0
    while queue and examined < _MOST_EXAMINED and len(best) < _MOST_QUEUED:
        peak, _, done = heapq.heappop(queue)
        if done == everything:
            names = _backtrack(graph, came_from, done)
            return OrderPlan(names=names, peak_bytes=peak, given_peak_bytes=given_peak)
        if peak > best[done]:
            continue
        examined += 1
        alive = flow.bytes_alive(done)
        for index in flow.ready(done):
            after = done | 1 << index
            new_peak = max(peak, alive + flow.written_bytes[index])
            if new_peak < best.get(after, new_peak + 1):
                best[after] = new_peak
                came_from[after] = (done, index)
                # Among equals the larger set first: it is nearer to the end.
                heapq.heappush(queue, (new_peak, -after.bit_count(), after))
    return OrderPlan(
        names=tuple(op.name for op in graph.ops),
        peak_bytes=given_peak,
        given_peak_bytes=given_peak,
    )


class _Flow:
    """Which operators may run, and which tensors exist, after a set of operators (a bit mask)."""

    def __init__(self, graph: OpGraph, element_bytes: int) -> None:
        size_of = {name: tensor.size_bytes(element_bytes) for name, tensor in graph.tensors.items()}
        producer = {name: index for index, op in enumerate(graph.ops) for name in op.outputs}
        self._needs = [
            sum({1 << producer[name] for name in op.inputs if name in producer}) for op in graph.ops
        ]
        readers = dict.fromkeys(graph.tensors, 0)
        for index, op in enumerate(graph.ops):
            for name in op.inputs:
                readers[name] |= 1 << index
        # (bytes, producer as a mask or 0 for an input, readers as a mask, is an output)
        self._tensors = [
            (
                size_of[name],
                1 << producer[name] if name in producer else 0,
                readers[name],
                name in graph.outputs,
            )
            for name in graph.tensors
        ]
        self.written_bytes = [sum(size_of[name] for name in op.outputs) for op in graph.ops]

    def ready(self, done: int) -> list[int]:
        """Return operators that have not run and whose inputs exist."""
        return [
            index
            for index, needs in enumerate(self._needs)
            if not done >> index & 1 and needs & done == needs
        ]

    def bytes_alive(self, done: int) -> int:
        """Return bytes of the tensors that exist and that somebody still reads."""
        return sum(
            [
                size
                for size, made_by, readers, is_kept in self._tensors
                if made_by & done == made_by and (is_kept or readers & ~done)
            ]
        )


def _backtrack(graph: OpGraph, came_from: dict[int, tuple[int, int]], done: int) -> tuple[str, ...]:
    names = []
    while done:
        done, index = came_from[done]
        names.append(graph.ops[index].name)
    return tuple(reversed(names))
