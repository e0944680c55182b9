"""What arithmetic on a student's graph tells a surrogate about its accuracy.

The same numbers for every space, a user's own included, so that what was learned in one space
counts in the others.
"""

from __future__ import annotations

import math
from itertools import pairwise

from hwkd.core.graph import Op, OpGraph

_PARTS = 3


def graph_features(graph: OpGraph) -> tuple[float, ...]:
    """Return the features of a student; the first two are the logarithms of MACs and weights."""
    heavy = [op for op in graph.ops if op.macs]
    macs, params = max(1, graph.macs), max(1, graph.params)
    shapes = [graph.tensors[op.outputs[0]].shape for op in heavy]
    widths = [math.log(max(1, shape[1] if len(shape) > 1 else 1)) for shape in shapes]
    sizes = [math.log(max(1, math.prod(shape[2:]))) for shape in shapes]
    ends = [len(heavy) * k // _PARTS for k in range(_PARTS + 1)]
    parts = [slice(first, last) for first, last in pairwise(ends)]
    kinds = [op.kind for op in graph.ops]
    return (
        math.log(macs),
        math.log(params),
        math.log(max(1, len(heavy))),
        *(sum([op.macs for op in heavy[part]]) / macs for part in parts[:-1]),
        *(sum([op.weights for op in heavy[part]]) / params for part in parts[:-1]),
        *(_mean(widths[part]) for part in parts),
        max(widths, default=0.0),
        widths[-2] if len(widths) > 1 else 0.0,
        _mean(sizes),
        sizes[0] if sizes else 0.0,
        sizes[-2] if len(sizes) > 1 else 0.0,
        sum([op.macs for op in heavy if op.groups > 1]) / macs,
        sum([op.macs for op in heavy if _is_dense(op)]) / macs,
        sum([max(op.kernel) > 3 for op in heavy]) / max(1, len(heavy)),
        float(kinds.count("Add")),
        float(kinds.count("Mul")),
        float(kinds.count("MatMul")),
        float(kinds.count("HardSwish")),
        float(kinds.count("Clip")),
        # Of the largest activation: what a network can hold at once.
        math.log(max((math.prod(tensor.shape) for tensor in graph.tensors.values()), default=1)),
    )


def _is_dense(op: Op) -> bool:
    return op.kind == "Conv" and op.groups == 1 and max(op.kernel) > 1


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
