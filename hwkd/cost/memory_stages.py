"""Memory over time: what lies in RAM while each operator runs."""

from __future__ import annotations

from bisect import insort
from itertools import islice

from hwkd.core.graph import OpGraph
from hwkd.core.memory_stage import MOST_HELD, MemoryStage
from hwkd.cost.memory import MemoryPlan


def memory_stages(graph: OpGraph, plan: MemoryPlan) -> tuple[MemoryStage, ...]:
    """Split the memory of a plan by purpose, one stage for each operator in order.

    Args:
        plan: what `plan_memory` returned for it.
    """
    # Scratch comes after the tensors, under names of operators that tensors may have too.
    tensors = plan.buffers[: len(plan.buffers) - len(plan.scratch_bytes)]
    starting: dict[int, list[tuple[int, int]]] = {}
    ending: dict[int, list[tuple[int, int]]] = {}
    for position, buffer in enumerate(tensors):
        entry = (-buffer.size, position)
        starting.setdefault(buffer.first, []).append(entry)
        ending.setdefault(buffer.last, []).append(entry)
    alive: list[tuple[int, int]] = []  # largest first
    alive_now: dict[str, int] = {}
    alive_bytes = 0
    stages = []
    for index, op in enumerate(graph.ops):
        for entry in starting.get(index, ()):
            insort(alive, entry)
            alive_now[tensors[entry[1]].name] = -entry[0]
            alive_bytes -= entry[0]
        own = {*op.inputs, *op.outputs}
        waiting = (entry for entry in alive if tensors[entry[1]].name not in own)
        held = tuple(tensors[position].name for _, position in islice(waiting, MOST_HELD + 1))
        held_bytes = alive_bytes - sum([alive_now[name] for name in own if name in alive_now])
        scratch = plan.scratch_bytes.get(op.name, 0)
        stages.append(
            MemoryStage(
                op=op.name,
                kind=op.kind,
                used_bytes=plan.live_bytes[op.name] - held_bytes - scratch,
                held_bytes=held_bytes,
                scratch_bytes=scratch,
                overhead_bytes=plan.overhead_bytes,
                held=held,
            )
        )
        for entry in ending.get(index, ()):
            alive.remove(entry)
            del alive_now[tensors[entry[1]].name]
            alive_bytes += entry[0]
    return tuple(stages)
