"""What a run of a network that streams costs: the operators over its new columns."""

from __future__ import annotations

from dataclasses import replace

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.deploy.to_c.project import Project
from hwkd.qgraph.ir import Keep, QuantTensor


def streamed_op_graph(graph: OpGraph, project: Project) -> OpGraph:
    """Return the graph over the columns that one run computes, with the copies of what is kept.

    Args:
        graph: of the file, over a whole window.
        project: planned to stream; its operators carry the names of the graph's.
    """
    form = project.arranged.graph
    made = {op.name: form.tensors[op.output] for op in form.ops}
    frames = project.input.shape[-1]
    tensors = {name: _narrow(graph.tensors[name], frames) for name in graph.inputs}
    ops: list[Op] = []
    read = {name: name for name in graph.tensors}
    for op in graph.ops:
        whole, source = graph.tensors[op.outputs[0]], tensors.get(read[op.inputs[0]])
        part = made.get(op.name)
        if part is None and op.kind == "Slice":  # those columns are read where they lie
            read[whole.name] = read[op.inputs[0]]
            continue
        columns = _columns(part, whole, source)
        tensors[whole.name] = _narrow(whole, columns)
        macs = op.macs * tensors[whole.name].elements // max(whole.elements, 1)
        inputs = tuple(read.get(name, name) for name in op.inputs)
        ops.append(replace(op, macs=macs, inputs=inputs))
    ops += [
        _kept(step, form.tensors[step.output], tensors, graph.inputs[0])
        for step in form.ops
        if isinstance(step, Keep)
    ]
    return replace(graph, ops=tuple(ops), tensors={**graph.tensors, **tensors})


def _columns(part: QuantTensor | None, whole: Tensor, source: Tensor | None) -> int:
    """Return how many columns of a tensor a run makes."""
    if part is not None:
        return part.shape[-1] if len(part.shape) > 2 else whole.shape[-1]
    # What only renames has as many as what it reads, where it has columns at all.
    is_time = source is not None and len(whole.shape) > 2 and len(source.shape) > 2
    return source.shape[-1] if is_time and source is not None else whole.shape[-1]


def _kept(step: Keep, buffer: QuantTensor, tensors: dict[str, Tensor], source: str) -> Op:
    """Return the copy of columns that a later run reads."""
    shape = (*buffer.shape[:-1], buffer.shape[-1] - step.dropped)
    tensors[buffer.name] = Tensor(name=buffer.name, shape=shape, bits=8)
    return Op(name=step.name, kind="Slice", inputs=(source,), outputs=(buffer.name,))


def _narrow(tensor: Tensor, columns: int) -> Tensor:
    if tensor.shape[-1] == columns:
        return tensor
    return replace(tensor, shape=(*tensor.shape[:-1], columns))
