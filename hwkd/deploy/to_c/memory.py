"""Lifetimes of buffers, sharing of places, and the arena that follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hwkd.core.core_file import InstructionSet
from hwkd.deploy.to_c.arena import ArenaPlan, Buffer, Overlap, plan_arena
from hwkd.deploy.to_c.layout import Arranged
from hwkd.deploy.to_c.step_builder import CStep
from hwkd.qgraph.foreign_text import fresh_name

# Kernels read inputs in groups of 4 bytes; the last group may reach 3 bytes behind its tensor.
_SLACK_BYTES = 8
_INPUT_STEP = -1


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Where everything lies.

    Attributes:
        offsets: tensor -> first byte in the arena.
        scratch_offsets: for each step the first byte of its working memory, 0 where it needs none.
        arena_bytes: size of the arena.
    """

    offsets: Mapping[str, int]
    scratch_offsets: tuple[int, ...]
    arena_bytes: int


def plan_memory(
    arranged: Arranged, steps: Sequence[CStep], instruction_sets: Iterable[InstructionSet]
) -> Memory:
    """Plan the arena.

    Args:
        arranged: the graph with its views resolved.
        steps: in execution order.
        instruction_sets: scratch is large enough for each of them.
    """
    wanted = tuple(instruction_sets)
    scratch = [max(step.scratch_bytes[name] for name in wanted) for step in steps]
    roots = _shared_buffers(arranged, steps)
    buffers = _tensor_buffers(arranged, steps, roots)
    names = [fresh_name(f"scratch {i}", arranged.graph.tensors) for i in range(len(steps))]
    buffers += [
        Buffer(name=name, size_bytes=size, first_step=index, last_step=index)
        for index, (name, size) in enumerate(zip(names, scratch, strict=True))
        if size
    ]
    plan: ArenaPlan = plan_arena(buffers, _overlaps(steps, roots, buffers))
    return Memory(
        offsets={
            name: plan.offsets[root] + arranged.begins.get(name, 0) for name, root in roots.items()
        },
        scratch_offsets=tuple(plan.offsets.get(name, 0) for name in names),
        arena_bytes=plan.size_bytes + _SLACK_BYTES,
    )


def _overlaps(
    steps: Sequence[CStep], roots: Mapping[str, str], buffers: Iterable[Buffer]
) -> dict[tuple[str, str], Overlap]:
    """Return (output, input) -> overlap of the steps whose input nobody reads afterwards."""
    of = {buffer.name: buffer for buffer in buffers}
    found = {}
    for index, step in enumerate(steps):
        if step.overlap is None:
            continue
        written, read = of[roots[step.output]], of[roots[step.inputs[0]]]
        if written.first_step == index == read.last_step and step.inputs.count(step.inputs[0]) == 1:
            found[written.name, read.name] = step.overlap
    return found


def _last_reads(arranged: Arranged, steps: Sequence[CStep]) -> dict[str, int]:
    """Return buffer -> last step that reads it; outputs are read after the last step."""
    last: dict[str, int] = {}
    for index, step in enumerate(steps):
        for name in step.inputs:
            last[arranged.buffer_of[name]] = index
    for name in arranged.graph.outputs.values():
        last[arranged.buffer_of[name]] = len(steps)
    return last


def _shared_buffers(arranged: Arranged, steps: Sequence[CStep]) -> dict[str, str]:
    """Return tensor -> buffer, an elementwise output taking the place of a dying input."""
    last = _last_reads(arranged, steps)
    taken: dict[str, str] = {}
    constants = arranged.graph.constants

    def root(name: str) -> str:
        buffer = arranged.buffer_of[name]
        return root(taken[buffer]) if buffer in taken else buffer

    ends = dict(last)
    for index, step in enumerate(steps):
        for name in step.may_overwrite:
            buffer = root(name) if name not in constants else ""
            if arranged.kept & {buffer, arranged.buffer_of[step.output]}:
                continue
            if buffer and ends.get(buffer) == index:
                taken[arranged.buffer_of[step.output]] = buffer
                ends[buffer] = last.get(step.output, index)
                break
    used = {name for step in steps for name in (*step.inputs, step.output)}
    used |= {arranged.graph.input, *arranged.graph.outputs.values()}
    return {name: root(name) for name in used}


def _tensor_buffers(
    arranged: Arranged, steps: Sequence[CStep], roots: Mapping[str, str]
) -> list[Buffer]:
    first: dict[str, int] = {roots[arranged.graph.input]: _INPUT_STEP}
    last: dict[str, int] = {}
    for index, step in enumerate(steps):
        first.setdefault(roots[step.output], index)
        last[roots[step.output]] = index
        for name in step.inputs:
            last[roots[name]] = index
    for name in arranged.graph.outputs.values():
        last[roots[name]] = len(steps)
    for name in arranged.kept:
        first[name], last[name] = _INPUT_STEP, len(steps)
    return [
        Buffer(
            name=name,
            size_bytes=arranged.graph.tensors[name].elements,
            first_step=start,
            last_step=last.get(name, start),
        )
        for name, start in first.items()
    ]
