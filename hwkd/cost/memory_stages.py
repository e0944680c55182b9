"""Memory over time: what lies in RAM while each operator runs."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.graph import OpGraph
from hwkd.cost.memory import MemoryPlan
from hwkd.cost.memory_planner import Buffer

__all__ = ["MemoryStage", "memory_stages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryStage:
    """RAM while one operator runs.

    Attributes:
        op: the operator's name.
        kind: ONNX operator type.
        used_bytes: tensors that it reads and writes, less what they share.
        held_bytes: tensors that wait for a later operator.
        scratch_bytes: working memory.
        overhead_bytes: what the runtime keeps beside the arena.
        held: names of the waiting tensors, largest first.
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


def memory_stages(graph: OpGraph, plan: MemoryPlan) -> tuple[MemoryStage, ...]:
    """Split the memory of a plan by purpose, one stage for each operator in order.

    Args:
        graph: the graph that was planned.
        plan: what `plan_memory` returned for it.
    """
    starting: dict[int, list[Buffer]] = {}
    # Scratch comes after the tensors, under names of operators that tensors may have too.
    for buffer in plan.buffers[: len(plan.buffers) - len(plan.scratch_bytes)]:
        starting.setdefault(buffer.first, []).append(buffer)
    alive: list[Buffer] = []
    stages = []
    for index, op in enumerate(graph.ops):
        own = {*op.inputs, *op.outputs}
        alive = [buffer for buffer in alive if buffer.last >= index] + starting.pop(index, [])
        held = [buffer for buffer in alive if buffer.name not in own]
        held_bytes = sum(buffer.size for buffer in held)
        scratch = plan.scratch_bytes.get(op.name, 0)
        held.sort(key=lambda buffer: -buffer.size)
        stages.append(
            MemoryStage(
                op=op.name,
                kind=op.kind,
                used_bytes=plan.live_bytes[op.name] - held_bytes - scratch,
                held_bytes=held_bytes,
                scratch_bytes=scratch,
                overhead_bytes=plan.overhead_bytes,
                held=tuple(buffer.name for buffer in held),
            )
        )
    return tuple(stages)
