"""The graph that runs: what a runtime folds, fuses, skips or drops before the first inference.

Costing the graph as written would count an activation that no runtime executes on its own, a
batch normalisation that is part of the weights, or a branch that nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.memory_model import FusionRules
from hwkd.cost.dead_channels import drop_zero_channels
from hwkd.cost.window_padding import is_same_padding, pad_before

__all__ = ["FusedGraph", "fuse", "with_changes"]

# Kinds whose kernels clamp their result for free, in every runtime that hwkd knows.
_TAKES_ACTIVATION = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "Add", "Sub", "Mul", "AveragePool", "MaxPool"}
)
_TAKES_SCALE_AND_SHIFT = frozenset({"Conv", "ConvTranspose", "Gemm"})
_WINDOWED = frozenset({"Conv", "AveragePool", "MaxPool"})
_NO_PADS = (0, 0, 0, 0)
_TRANSPARENT = frozenset({"Identity", "Dropout", "QuantizeLinear", "DequantizeLinear"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedGraph:
    """What is left to run.

    Attributes:
        graph: operators that execute, in order, with the work that is left of them; it may hold
            Pad operators that the graph as written does not.
        stored: the same operators with every channel in its place. Runtimes that skip all-zero
            channels still store them: flash and RAM of published models show no saving.
        fused_into: operator that vanished -> operator that does its work; "" for one that does
            no work (nobody reads it, or it only renames a tensor).
    """

    graph: OpGraph
    stored: OpGraph
    fused_into: Mapping[str, str]


def fuse(graph: OpGraph, rules: FusionRules) -> FusedGraph:
    """Return the graph that a runtime executes for the graph as written.

    Args:
        graph: as exported: activations and normalisations are operators of their own.
        rules: what this runtime does.
    """
    readers, dead = _live_readers(graph)
    running: dict[str, Op] = {}  # by operator name, in order
    producer: dict[str, str] = {}  # tensor -> operator
    alias: dict[str, str] = {}  # renamed tensor -> the one that exists
    fused_into = dict.fromkeys(dead, "")
    added: dict[str, Tensor] = {}
    absorbing = rules.activations
    for op in graph.ops:
        kind = op.kind
        if op.name in fused_into:
            continue
        if kind in _TRANSPARENT or kind in rules.views:
            fused_into[op.name] = ""
            source = alias.get(op.inputs[0], op.inputs[0])
            alias[op.outputs[0]] = source
            # The renamed tensor's readers read the tensor that exists.
            readers[source] = readers.get(source, 1) - 1 + readers[op.outputs[0]]
            continue
        inputs = op.inputs
        if alias and any(name in alias for name in inputs):
            inputs = tuple(alias.get(name, name) for name in inputs)
        host_name = producer.get(inputs[0]) if inputs else None
        host = running[host_name] if host_name is not None and readers[inputs[0]] == 1 else None
        if host is not None:
            biases = _absorbed_biases(op, host, rules, kind in absorbing)
            if biases is not None:
                running[host.name] = with_changes(host, outputs=op.outputs, biases=biases)
                producer[op.outputs[0]] = host.name
                fused_into[op.name] = host.name
                continue
            if host.kind == "Pad" and rules.pad and kind in _WINDOWED:
                top, left, bottom, right = (a + b for a, b in zip(host.pads, op.pads, strict=True))
                op = with_changes(op, pads=(top, left, bottom, right))
                inputs = host.inputs
                fused_into[host.name] = op.name
                del running[host.name]
        if rules.explicit_pads and op.pads != _NO_PADS and kind in _WINDOWED:
            shape = graph.tensors[op.inputs[0]].shape
            if not is_same_padding(op, shape):
                pad, padded = pad_before(op, inputs[0], shape)
                running[pad.name], added[padded.name] = pad, padded
                op, inputs = with_changes(op, pads=_NO_PADS), (padded.name,)
        running[op.name] = op if inputs is op.inputs else with_changes(op, inputs=inputs)
        for name in op.outputs:
            producer[name] = op.name
    stored = _collect(graph, running, alias, added)
    executed = drop_zero_channels(stored) if rules.drops_zero_channels else stored
    return FusedGraph(graph=executed, stored=stored, fused_into=fused_into)


def with_changes(
    op: Op,
    *,
    inputs: tuple[str, ...] | None = None,
    outputs: tuple[str, ...] | None = None,
    biases: int | None = None,
    pads: tuple[int, int, int, int] | None = None,
) -> Op:
    """Copy an operator with some fields replaced; several times faster than dataclasses.replace."""
    return Op(
        name=op.name,
        kind=op.kind,
        inputs=op.inputs if inputs is None else inputs,
        outputs=op.outputs if outputs is None else outputs,
        macs=op.macs,
        weights=op.weights,
        biases=op.biases if biases is None else biases,
        kernel=op.kernel,
        stride=op.stride,
        pads=op.pads if pads is None else pads,
        dilation=op.dilation,
        groups=op.groups,
        zero_out_channels=op.zero_out_channels,
        constants=op.constants,
    )


def _absorbed_biases(op: Op, host: Op, rules: FusionRules, is_activation: bool) -> int | None:
    """Return the host's bias count after it absorbed `op`, or None when it cannot."""
    kind = op.kind
    if is_activation:
        return host.biases if _is_weighted(host) or host.kind in _TAKES_ACTIVATION else None
    if kind == "BatchNormalization":
        absorbs = rules.batch_norm and (host.kind in _TAKES_SCALE_AND_SHIFT)
        return (host.biases or op.biases) if absorbs else None
    if kind == "Add" and len(op.inputs) == 1 and op.constants > 1:
        # A separate bias, as exporters write it after a MatMul. A scalar could be anything.
        return op.constants if _is_weighted(host) and not host.biases else None
    return None


def _is_weighted(op: Op) -> bool:
    return op.kind in _TAKES_SCALE_AND_SHIFT or (op.kind == "MatMul" and op.weights > 0)


def _live_readers(graph: OpGraph) -> tuple[dict[str, int], list[str]]:
    """Count each tensor's readers (a graph output has one more) and list unneeded operators."""
    readers: dict[str, int] = {}
    for name in graph.outputs:
        # A graph output must exist as it is, so nothing after it may be fused into its producer.
        readers[name] = readers.get(name, 0) + 1
    dead = []
    for op in reversed(graph.ops):
        for name in op.outputs:
            if name in readers:
                break
        else:
            dead.append(op.name)
            continue
        for name in op.inputs:
            readers[name] = readers.get(name, 0) + 1
    return readers, dead


def _collect(
    graph: OpGraph, running: dict[str, Op], alias: dict[str, str], added: dict[str, Tensor]
) -> OpGraph:
    tensors = {**graph.tensors, **added} if added else graph.tensors
    alive = {name: tensors[name] for name in graph.inputs}
    for op in running.values():
        for name in op.outputs:
            alive[name] = tensors[name]
    return OpGraph(
        ops=tuple(running.values()),
        tensors=alive,
        inputs=graph.inputs,
        outputs=tuple(alias.get(name, name) for name in graph.outputs),
    )
