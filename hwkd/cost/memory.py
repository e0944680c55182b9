"""RAM of one inference: how long each tensor lives and how the runtime packs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from hwkd.core.graph import Op, OpGraph
from hwkd.core.kinds import kind_of
from hwkd.core.memory_model import MemoryModel
from hwkd.cost.memory_planner import Buffer, place_greedily
from hwkd.cost.memory_scratch import scratch_bytes
from hwkd.cost.memory_slide import Lives, live_bytes, padded_copies


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """Where the RAM goes.

    Attributes:
        peak_ram_bytes: arena and what the runtime keeps beside it.
        arena_bytes: activations and scratch, as the runtime places them.
        overhead_bytes: what the runtime keeps for tensors, operators and itself.
        live_bytes: operator -> bytes of tensors and scratch that exist while it runs.
        scratch_bytes: operator -> its working memory, where it has any.
        offsets: place of each buffer in the arena; empty when the planner does not fix places.
    """

    peak_ram_bytes: int
    arena_bytes: int
    overhead_bytes: int
    live_bytes: Mapping[str, int]
    scratch_bytes: Mapping[str, int]
    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]


def plan_memory(graph: OpGraph, model: MemoryModel, element_bytes: int) -> MemoryPlan:
    """Plan the RAM of a graph, operators in the order given.

    Args:
        graph: the operators that run (after fusion).
        element_bytes: size of an activation element, 1 or 4.
    """
    ops, alignment = graph.ops, model.alignment_bytes
    buffers, last, streamed = _tensor_buffers(graph, model, element_bytes)
    tensors = tuple(buffers)
    scratch: dict[str, int] = {}
    for index, op in enumerate(ops):
        name = op.name
        size = scratch_bytes(op, graph.tensors, model, element_bytes)
        if name in streamed:
            size += streamed[name]
        if size:
            scratch[name] = size
            buffers.append(Buffer(name, size + -size % alignment, index, index))
    if model.in_place:
        lives = Lives(
            sizes={name: size for name, size, _, _ in tensors},
            last=last,
            alive=_alive(tensors, len(ops)),
            scratch=scratch,
            streamed=streamed,
        )
        live = live_bytes(graph, model, element_bytes, lives)
    else:
        live = _alive(buffers, len(ops))
    offsets: list[int] = []
    if model.planner == "greedy_by_size":
        offsets = place_greedily(buffers, len(ops))
        arena = max([at + buffer.size for at, buffer in zip(offsets, buffers, strict=True)])
    else:
        arena = max(live)
    overhead = _overhead_bytes(graph, model, element_bytes)
    return MemoryPlan(
        peak_ram_bytes=arena + overhead,
        arena_bytes=arena,
        overhead_bytes=overhead,
        live_bytes={op.name: size for op, size in zip(ops, live, strict=False)},
        scratch_bytes=scratch,
        buffers=tuple(buffers),
        offsets=tuple(offsets),
    )


def _alive(buffers: Sequence[Buffer], steps: int) -> list[int]:
    """Return the bytes alive at each step; with nothing left to run the inputs are all there is."""
    change = [0] * (max(steps, 1) + 1)
    for _, size, first, last in buffers:
        change[first] += size
        change[last + 1] -= size
    return list(accumulate(change[:-1]))


def _tensor_buffers(
    graph: OpGraph, model: MemoryModel, element_bytes: int
) -> tuple[list[Buffer], dict[str, int], dict[str, int]]:
    """Return every tensor with its lifetime, its end, and of pooled convolutions waiting rows.

    A tensor lives from the operator that writes it (an input: from the first operator) to the last
    one that reads it; an output of the graph to the end.
    """
    first = dict.fromkeys(graph.inputs, 0)
    last = dict.fromkeys(graph.inputs, 0)
    for index, op in enumerate(graph.ops):
        for name in op.inputs:
            last[name] = index
        for name in op.outputs:
            first[name] = last[name] = index
    for name in graph.outputs:
        last[name] = max(len(graph.ops) - 1, 0)
    streamed = _streamed_rows(graph, element_bytes) if model.pools_on_the_fly else {}
    if streamed:
        for op, following in zip(graph.ops, graph.ops[1:], strict=False):
            if op.name in streamed:
                # The pooling runs inside the convolution: its output exists from there on.
                first[following.outputs[0]] -= 1
                del first[op.outputs[0]]
    alignment, tensors = model.alignment_bytes, graph.tensors
    buffers = []
    for name, at in first.items():
        size = tensors[name].size_bytes(element_bytes)
        buffers.append(Buffer(name, size + -size % alignment, at, last[name]))
    return buffers, last, streamed


def _streamed_rows(graph: OpGraph, element_bytes: int) -> dict[str, int]:
    """Return convolution -> bytes of the rows that its pooling waits for."""
    rows = {}
    for op, following in zip(graph.ops, graph.ops[1:], strict=False):
        if (
            op.kind != "Conv"
            or following.inputs != op.outputs
            or not kind_of(following.kind).is_pooling
        ):
            continue
        name = op.outputs[0]
        before, after = graph.tensors[name].shape, graph.tensors[following.outputs[0]].shape
        is_shared = name in graph.outputs or sum([name in op.inputs for op in graph.ops]) > 1
        if not is_shared and _is_unpadded(following, before, after):
            row_bytes = graph.tensors[name].size_bytes(element_bytes) // before[2]
            rows[op.name] = following.kernel[0] * row_bytes
    return rows


def _is_unpadded(pool: Op, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    return all(
        (after[2 + axis] - 1) * pool.stride[axis] + pool.kernel[axis] <= before[2 + axis]
        for axis in (0, 1)
    )


def _overhead_bytes(graph: OpGraph, model: MemoryModel, element_bytes: int) -> int:
    """Bytes that the runtime keeps beside the activations."""
    per_kind = model.per_kind_overhead_bytes
    tensors = graph.tensors
    total = model.fixed_overhead_bytes
    total += model.per_tensor_overhead_bytes * len(tensors)
    total += model.per_op_overhead_bytes * (len(graph.ops) + padded_copies(graph, model))
    for op in graph.ops:
        kind = op.kind
        total += per_kind.get(kind, 0.0)
        if kind == "Conv" and element_bytes == 1:
            total += model.per_output_channel_bytes * tensors[op.outputs[0]].shape[1]
        elif kind == "MatMul" and model.matmul_keeps_right_operand and len(op.inputs) == 2:
            total += tensors[op.inputs[1]].size_bytes(element_bytes)
    return round(total)
