"""What layers in patches cost: the operators that run then, and what the plan keeps in RAM."""

from __future__ import annotations

from dataclasses import replace

from hwkd.core.core_file import InstructionSet
from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.memory_stage import MemoryStage
from hwkd.deploy.to_c.project import Project
from hwkd.qgraph.ir import Conv, Crop, Paste, Pool, QuantOp, Relayout


def named_as_steps(graph: OpGraph, project: Project) -> OpGraph:
    """Return the graph with the C's names: a node without one goes by what it gives."""
    steps = [op.name for op in project.arranged.graph.ops]
    known = {*steps, *(name.rpartition(" ")[0] for name in steps)}
    ops = (
        replace(op, name=op.outputs[0]) if op.name not in known and op.outputs[0] in known else op
        for op in graph.ops
    )
    return replace(graph, ops=tuple(ops))


def patched_op_graph(graph: OpGraph, project: Project) -> OpGraph:
    """Return the graph with the copies, the patches and their halos that the C runs.

    Args:
        graph: of the file, layers run as a whole.
        project: planned with patches; its operators carry the names of the graph's.
    """
    form = project.arranged.graph
    whole = {op.name: op for op in graph.ops}
    tensors, ops = dict(graph.tensors), list[Op]()
    source, put, layers, parts = "", "", list[str](), list[str]()
    for step in form.ops:
        if isinstance(step, Paste):
            parts.append(source)
            put = step.name
            continue
        if isinstance(step, Crop):
            ops.append(_copy(step.name, "Slice", graph.inputs, step.output))
        elif source and step.inputs[0] == source:
            if isinstance(step, Relayout):
                ops.append(_copy(step.name, "Slice", (source,), step.output))
            else:
                layers.append(step.name.rpartition(" ")[0])
                part = form.tensors[step.output].elements
                ops.append(_part(whole[layers[-1]], step, graph, part))
        else:
            continue
        source = step.output
        tensors[source] = Tensor(name=source, shape=form.tensors[source].shape, bits=8)
    ops.append(_copy(put, "Concat", tuple(parts), *whole[layers[-1]].outputs))
    ops += [op for op in graph.ops if op.name not in layers]
    return replace(graph, ops=tuple(ops), tensors=tensors)


def _copy(name: str, kind: str, inputs: tuple[str, ...], output: str) -> Op:
    return Op(name=name, kind=kind, inputs=inputs, outputs=(output,))


def _part(whole: Op, step: QuantOp, graph: OpGraph, elements: int) -> Op:
    """Return a layer over one patch, of so many output elements."""
    macs = whole.macs * elements // graph.tensors[whole.outputs[0]].elements
    pads = step.pads if isinstance(step, Conv | Pool) else whole.pads
    return replace(
        whole, name=step.name, inputs=step.inputs[:1], outputs=(step.output,), macs=macs, pads=pads
    )


def planned_stages(
    project: Project, ram_bytes: int, instruction_set: InstructionSet
) -> tuple[MemoryStage, ...]:
    """Return what lies in the arena while each step runs, and beside it the stack.

    Args:
        ram_bytes: of the whole, arena and stack.
        instruction_set: that the arena was planned for.
    """
    steps, memory, tensors = project.steps, project.memory, project.arranged.graph.tensors
    first = {project.arranged.graph.input: -1}
    last = dict.fromkeys(project.arranged.graph.outputs.values(), len(steps))
    for index, step in enumerate(steps):
        first.setdefault(step.output, index)
        for name in (*step.inputs, step.output):
            last[name] = max(last.get(name, 0), index)

    def taken(names: set[str]) -> int:
        """Count the bytes under some tensors; those that share a place count once."""
        spans = sorted((memory.offsets[n], memory.offsets[n] + tensors[n].elements) for n in names)
        total = reached = 0
        for start, end in spans:
            total += max(end - max(start, reached), 0)
            reached = max(reached, end)
        return total

    found = []
    for index, step in enumerate(steps):
        used = {name for name in (*step.inputs, step.output) if name in first}
        live = {name for name in first if first[name] <= index <= last.get(name, -1)}
        waiting = sorted(live - used, key=lambda name: -tensors[name].elements)
        used_bytes = taken(used)
        found.append(
            MemoryStage(
                op=step.name,
                kind=step.kind,
                used_bytes=used_bytes,
                held_bytes=taken(used | live) - used_bytes,
                scratch_bytes=step.scratch_bytes[instruction_set],
                overhead_bytes=ram_bytes - memory.arena_bytes,
                held=tuple(waiting),
            )
        )
    return tuple(found)
