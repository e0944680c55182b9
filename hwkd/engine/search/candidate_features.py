"""What arithmetic on a student's graph tells a surrogate about its accuracy.

The same numbers for every space, a user's own included, so that what was learned in one space
counts in the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from hwkd.core.graph import Op, OpGraph

_PARTS = 3


def graph_features(graph: OpGraph) -> tuple[float, ...]:
    """Return the features of a student; the first two are the logarithms of MACs and weights."""
    heavy = [op for op in graph.ops if op.macs]
    macs, params = max(1, graph.macs), max(1, graph.params)
    widths = [_channels(graph, op) for op in heavy]
    sizes = [_positions(graph, op) for op in heavy]
    parts = [
        heavy[len(heavy) * k // _PARTS : len(heavy) * (k + 1) // _PARTS] for k in range(_PARTS)
    ]
    kinds = [op.kind for op in graph.ops]
    return (
        math.log(macs),
        math.log(params),
        math.log(max(1, len(heavy))),
        *(sum(op.macs for op in part) / macs for part in parts[:-1]),
        *(sum(op.weights for op in part) / params for part in parts[:-1]),
        *(_mean_log([_channels(graph, op) for op in part]) for part in parts),
        math.log(max(widths, default=1)),
        math.log(widths[-2] if len(widths) > 1 else 1),
        _mean_log(sizes),
        math.log(sizes[0]) if sizes else 0.0,
        math.log(sizes[-2] if len(sizes) > 1 else 1),
        sum(op.macs for op in heavy if op.groups > 1) / macs,
        sum(op.macs for op in heavy if _is_dense(op)) / macs,
        _share(heavy, lambda op: max(op.kernel) > 3),
        float(kinds.count("Add")),
        float(kinds.count("Mul")),
        float(kinds.count("MatMul")),
        float(kinds.count("HardSwish")),
        float(kinds.count("Clip")),
        _log_tensor_bytes(graph),
    )


def _is_dense(op: Op) -> bool:
    return op.kind == "Conv" and op.groups == 1 and max(op.kernel) > 1


def _channels(graph: OpGraph, op: Op) -> int:
    shape = graph.tensors[op.outputs[0]].shape
    return max(1, shape[1] if len(shape) > 1 else 1)


def _positions(graph: OpGraph, op: Op) -> int:
    return max(1, math.prod(graph.tensors[op.outputs[0]].shape[2:]))


def _mean_log(numbers: list[int]) -> float:
    return sum(math.log(number) for number in numbers) / len(numbers) if numbers else 0.0


def _share(ops: list[Op], is_so: Callable[[Op], bool]) -> float:
    return sum(is_so(op) for op in ops) / max(1, len(ops))


def _log_tensor_bytes(graph: OpGraph) -> float:
    """Return the logarithm of the largest activation: what a network can hold at once."""
    return math.log(max((tensor.elements for tensor in graph.tensors.values()), default=1))
