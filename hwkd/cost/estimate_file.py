"""A network in a file and a device in; estimate, memory over time and best order out."""

from __future__ import annotations

from dataclasses import replace

from hwkd.cost.backend import CostQuestion, FileCost, ModelFile
from hwkd.cost.estimate import ELEMENT_BYTES, estimate_cost
from hwkd.cost.fuse import fuse
from hwkd.cost.instructions import predict_instructions
from hwkd.cost.memory import plan_memory
from hwkd.cost.memory_order import MOST_ORDERED_OPS, find_order
from hwkd.cost.memory_stages import memory_stages


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
    fused = fuse(model.graph, stack.fusion)
    running = fused.stored
    plan = plan_memory(running, stack.memory, element_bytes)
    is_small = len(running.ops) <= MOST_ORDERED_OPS
    return FileCost(
        cost=replace(cost, dtype="mixed") if model.dtype == "mixed" else cost,
        stages=memory_stages(running, plan),
        order=find_order(running, element_bytes) if is_small else None,
        instructions=predict_instructions(fused.graph, stack.instructions, model.costed_in),
    )
