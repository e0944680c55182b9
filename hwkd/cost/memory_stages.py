"""Memory over time: what lies in RAM while each operator runs."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from itertools import islice

from hwkd.core.graph import OpGraph
from hwkd.cost.memory import MemoryPlan

# Names that a reader takes in.
_MOST_HELD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStage:
    """RAM while one operator runs.

    Attributes:
        used_bytes: tensors that it reads and writes, less what they share.
        held_bytes: tensors that wait for a later operator.
        overhead_bytes: what the runtime keeps beside the arena.
        held: names of the waiting tensors, largest first; of more than `_MOST_HELD` one more.
    """

    op: str
    kind: str
    used_bytes: int
    held_bytes: int
    scratch_bytes: int
    overhead_bytes: int
    held: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Everything in RAM while the operator runs."""
        return self.used_bytes + self.held_bytes + self.scratch_bytes + self.overhead_bytes

    @property
    def held_text(self) -> str:
        """The waiting tensors for a reader, "..." for those that are too many."""
        more = ["..."] * (len(self.held) > _MOST_HELD)
        return ", ".join([*self.held[:_MOST_HELD], *more])


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
        held = tuple(tensors[position].name for _, position in islice(waiting, _MOST_HELD + 1))
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
