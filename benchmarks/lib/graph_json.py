"""Operator graphs as compact JSON, so that a measured fact carries the network it belongs to."""

from __future__ import annotations

from typing import Any

from hwkd.core.graph import Op, OpGraph, Tensor

_FIELDS = ("weights", "biases", "kernel", "stride", "pads", "dilation", "groups", "constants")


def graph_to_json(graph: OpGraph) -> dict[str, Any]:
    """Return inputs, outputs, shapes and operators, without their multiply-accumulates.

    Fields at their default are left out, and outputs that are named like their operator.
    """
    plain = Op(name="", kind="", inputs=(), outputs=())
    ops = []
    for op in graph.ops:
        row: dict[str, Any] = {"name": op.name, "kind": op.kind}
        row["inputs"] = op.inputs
        if op.outputs != (op.name,):
            row["outputs"] = op.outputs
        row |= {
            field: getattr(op, field)
            for field in _FIELDS
            if getattr(op, field) != getattr(plain, field)
        }
        ops.append(row)
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items()}
    return {"inputs": graph.inputs, "outputs": graph.outputs, "shapes": shapes, "ops": ops}


def graph_from_json(data: dict[str, Any]) -> OpGraph:
    """Return the graph that `graph_to_json` described."""
    ops = []
    for row in data["ops"]:
        fields = {key: tuple(v) if isinstance(v, list) else v for key, v in row.items()}
        ops.append(Op(**({"outputs": (row["name"],)} | fields)))
    return OpGraph(
        ops=tuple(ops),
        tensors={name: Tensor(name=name, shape=tuple(s)) for name, s in data["shapes"].items()},
        inputs=tuple(data["inputs"]),
        outputs=tuple(data["outputs"]),
    )
