"""Instructions of one inference, where those of a runtime's kernels were counted."""

from __future__ import annotations

from collections.abc import Mapping
from operator import mul

from hwkd.core.device import WORK
from hwkd.core.graph import OpGraph
from hwkd.cost.finer_terms import priced_work


def predict_instructions(
    graph: OpGraph, counted: Mapping[str, Mapping[str, float]], dtype: str
) -> int | None:
    """Return the instructions of a fused graph; None where not every operator's are known.

    Args:
        graph: what is executed.
        counted: operator class -> amount -> instructions of int8 kernels; empty of a runtime whose
            kernels nobody counted.
        dtype: that the network runs in.
    """
    if not counted or dtype != "int8":
        return None
    total = 0.0
    for op in graph.ops:
        own = op.facts.computes_in if op.facts is not None else None
        work = priced_work(op, graph.tensors, counted) if own in (None, dtype) else None
        if work is None or work.op_class not in counted or work.is_stand_in:
            return None
        per_unit = counted[work.op_class]
        amounts = (per_unit.get(name, 0.0) for name in WORK[work.op_class])
        total += sum(map(mul, work.amounts, amounts))
    return round(total)
