"""What a run of a network that streams costs: the operators over its new columns."""

from __future__ import annotations

from dataclasses import replace

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.deploy.to_c.project import Project
from hwkd.qgraph.ir import Keep


def streamed_op_graph(graph: OpGraph, project: Project) -> OpGraph:
    """Return the graph over the columns that one run computes, with the copies of what is kept.

    Args:
        graph: of the file, over a whole window.
        project: planned to stream; its tensors carry the names of the graph's.
    """
    form = project.arranged.graph
    new = {
        name: tensor.shape[-1]
        for name, tensor in form.tensors.items()
        if name in graph.tensors and tensor.shape != graph.tensors[name].shape
    }
    tensors = {name: _narrow(tensor, new) for name, tensor in graph.tensors.items()}
    ops = []
    for op in graph.ops:
        whole, part = graph.tensors[op.outputs[0]], tensors[op.outputs[0]]
        macs = op.macs * part.elements // max(whole.elements, 1)
        ops.append(replace(op, macs=macs))
    for step in form.ops:
        if isinstance(step, Keep):
            buffer = form.tensors[step.output]
            kept = buffer.shape[-1] - step.dropped
            tensors[buffer.name] = Tensor(
                name=buffer.name, shape=(*buffer.shape[:-1], kept), bits=8
            )
            source = step.name.removesuffix(" kept")
            ops.append(
                Op(name=step.name, kind="Slice", inputs=(source,), outputs=(buffer.name,))
            )
    return replace(graph, ops=tuple(ops), tensors=tensors)


def _narrow(tensor: Tensor, new: dict[str, int]) -> Tensor:
    if tensor.name not in new:
        return tensor
    return replace(tensor, shape=(*tensor.shape[:-1], new[tensor.name]))
