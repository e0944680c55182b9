"""Which transposes move no bytes: those next to an operator that takes a tensor however it lies."""

from __future__ import annotations

from collections.abc import Mapping

from hwkd.core.graph import Op, OpGraph
from hwkd.core.kinds import kind_of
from hwkd.core.memory_model import FusionRules

_TRANSPOSE = "Transpose"


def free_transposes(graph: OpGraph, rules: FusionRules) -> frozenset[str]:
    """Return the transposes that a runtime with strided kernels never executes.

    What lies between two operators that both fix how a tensor lies (a convolution before, one
    behind) is copied. A network's input may come in any order.
    """
    transposes = [op for op in graph.ops if op.kind == _TRANSPOSE] if rules.strided else []
    if not transposes:
        return frozenset()
    producers = {name: op for op in graph.ops for name in op.outputs}
    readers: dict[str, list[Op]] = {}
    for op in graph.ops:
        for name in op.inputs:
            readers.setdefault(name, []).append(op)
    return frozenset(
        op.name
        for op in transposes
        if _is_written_anyhow(op, producers, rules) or _is_read_anyhow(op, readers, rules)
    )


def _keeps_places(op: Op, rules: FusionRules) -> bool:
    """Tell whether an operator leaves every element where it lies."""
    is_pointwise = kind_of(op.kind).work == "activation" or op.kind in rules.activations
    return op.kind == _TRANSPOSE or op.kind in rules.views or is_pointwise


def _is_written_anyhow(op: Op, producers: Mapping[str, Op], rules: FusionRules) -> bool:
    source = producers.get(op.inputs[0])
    while source is not None and _keeps_places(source, rules):
        source = producers.get(source.inputs[0])
    return source is None or source.kind in rules.strided


def _is_read_anyhow(op: Op, readers: Mapping[str, list[Op]], rules: FusionRules) -> bool:
    behind = [reader for name in op.outputs for reader in readers.get(name, ())]
    return bool(behind) and all(
        reader.kind in rules.strided
        or (_keeps_places(reader, rules) and _is_read_anyhow(reader, readers, rules))
        for reader in behind
    )
