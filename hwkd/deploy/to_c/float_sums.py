"""Names the layers whose int8 value depends on the order of ONNX Runtime's float sum."""

from __future__ import annotations

from hwkd.deploy.to_c.project import Project
from hwkd.deploy.verify_average import may_be_at_tie
from hwkd.qgraph.ir import ConvTranspose, LayerNorm, Pool, QuantGraph, QuantOp


def float_sum_lines(project: Project) -> tuple[str, ...]:
    """Say in one sentence which nodes may differ by a step, and how far that can reach."""
    graph, buffer_of = project.arranged.graph, project.arranged.buffer_of
    nodes: list[str] = []
    touched: set[str] = set()
    later = 0
    for op in graph.ops:
        if touched.intersection(buffer_of.get(name, name) for name in op.inputs):
            later += 1
            touched.add(buffer_of.get(op.output, op.output))
        if _depends_on_order(op, graph):
            nodes.append(repr(op.name))
            touched.add(buffer_of.get(op.output, op.output))
    if not nodes:
        return ()
    reach = "none of the layers reads them" if not later else (
        f"it can reach {later} of the {len(graph.ops)} layers, where it may grow to more steps"
    )  # fmt: skip
    return (
        f"results of {', '.join(nodes)} may differ by one step from ONNX Runtime's at a tie, "
        f"which the order of its float sum decides, by processor; {reach}",
    )


def _depends_on_order(op: QuantOp, graph: QuantGraph) -> bool:
    if isinstance(op, Pool) and op.kind != "max":
        return may_be_at_tie(op, graph.tensors[op.inputs[0]], graph.tensors[op.output])
    return isinstance(op, LayerNorm | ConvTranspose)
