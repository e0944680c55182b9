"""A network in a file and a device in; estimate, memory over time and best order out."""

from __future__ import annotations

from dataclasses import replace

from hwkd.core.device import Runtime
from hwkd.core.graph import OpGraph
from hwkd.cost.backend import CostQuestion, FileCost, ModelFile
from hwkd.cost.estimate import ELEMENT_BYTES, estimate_cost
from hwkd.cost.fuse import fuse
from hwkd.cost.latency_terms import op_work
from hwkd.cost.memory import plan_memory
from hwkd.cost.memory_order import MOST_ORDERED_OPS, find_order
from hwkd.cost.memory_stages import memory_stages

__all__ = ["estimate_file", "unknown_kernels"]


def estimate_file(
    model: ModelFile, question: CostQuestion, *, has_latency: bool = True
) -> FileCost:
    """Predict what a network needs; `has_latency` as `estimate_cost`, which says what it raises."""
    cost = estimate_cost(
        model.graph,
        question.device,
        runtime=question.runtime,
        clock_hz=question.clock_hz,
        dtype=model.costed_in,
        has_latency=has_latency,
    )
    stack, element_bytes = question.device.runtime(question.runtime), ELEMENT_BYTES[model.costed_in]
    running = fuse(model.graph, stack.fusion).stored
    plan = plan_memory(running, stack.memory, element_bytes)
    is_small = len(running.ops) <= MOST_ORDERED_OPS
    return FileCost(
        cost=replace(cost, dtype="mixed") if model.dtype == "mixed" else cost,
        stages=memory_stages(running, plan),
        order=find_order(running, element_bytes) if is_small else None,
    )


def unknown_kernels(graph: OpGraph, stack: Runtime) -> tuple[str, ...]:
    """Return kinds of running operators that no rule covers, or not in their type."""
    found = set()
    running = fuse(graph, stack.fusion).stored
    for op in running.ops:
        dtype = op.facts.computes_in if op.facts is not None else None
        if op_work(op, running.tensors) is None:
            found.add(op.kind)
        elif dtype not in (None, *ELEMENT_BYTES):
            found.add(f"{op.kind} ({dtype})")
    return tuple(sorted(found))
