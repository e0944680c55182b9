"""The graph that runs: what a runtime folds, fuses, skips or drops before the first inference.

Costing the graph as written would count an activation that no runtime executes on its own, a
batch normalisation that is part of the weights, or a branch that nobody reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hwkd.core.graph import FileFacts, Op, OpGraph, Tensor
from hwkd.core.kinds import kind_of
from hwkd.core.memory_model import FusionRules
from hwkd.cost.dead_channels import drop_zero_channels
from hwkd.cost.free_transposes import free_transposes
from hwkd.cost.window_padding import is_same_padding, pad_before

_NO_PADS = (0, 0, 0, 0)
_TRANSPARENT = frozenset({"Identity", "Dropout"})


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
    """
    fusion = _Fusion(graph, rules)
    for op in graph.ops:
        if op.name not in fusion.fused_into:
            fusion.visit(op)
    stored = fusion.collect()
    executed = drop_zero_channels(stored) if rules.drops_zero_channels else stored
    return FusedGraph(graph=executed, stored=stored, fused_into=fusion.fused_into)


class _Fusion:
    """One pass over the operators of a graph."""

    def __init__(self, graph: OpGraph, rules: FusionRules) -> None:
        self._graph, self._rules = graph, rules
        self._readers, dead = _live_readers(graph)
        self._free = free_transposes(graph, rules)
        self._running: dict[str, Op] = {}  # by operator name, in order
        self._producer: dict[str, str] = {}  # tensor -> operator
        self._alias: dict[str, str] = {}  # renamed tensor -> the one that exists
        self._added: dict[str, Tensor] = {}
        self._as_image: set[str] = set()  # vectors that lie as the image that they were
        self.fused_into = dict.fromkeys(dead, "")

    def visit(self, op: Op) -> None:
        """Run an operator, let the one before it do its work, or skip it."""
        rules = self._rules
        if op.kind in _TRANSPARENT or op.kind in rules.views or op.name in self._free:
            self._skip(op)
            return
        inputs = op.inputs
        if self._alias and any(name in self._alias for name in inputs):
            inputs = tuple(self._alias.get(name, name) for name in inputs)
        host_name = self._producer.get(inputs[0]) if inputs else None
        if host_name is not None and self._readers[inputs[0]] == 1:
            host = self._running[host_name]
            biases = _absorbed_biases(op, host, rules)
            if biases is not None and self._keeps_image(op, host):
                self._running[host_name] = with_changes(
                    host, outputs=op.outputs, biases=biases, facts=_absorbed_facts(op, host)
                )
                self._producer[op.outputs[0]] = host_name
                self.fused_into[op.name] = host_name
                return
            if rules.pad and host.kind == "Pad" and kind_of(op.kind).is_window and any(host.pads):
                op, inputs = self._merge_pad(host, op), host.inputs
        if rules.explicit_pads and op.pads != _NO_PADS and kind_of(op.kind).is_window:
            op, inputs = self._pad_explicitly(op, inputs)
        if rules.strided and len(inputs) == 2 and kind_of(op.kind).work == "elementwise":
            inputs = self._lying_alike(op, inputs)
        self._running[op.name] = op if inputs is op.inputs else with_changes(op, inputs=inputs)
        for name in op.outputs:
            self._producer[name] = op.name

    def collect(self) -> OpGraph:
        """Return what runs, with the tensors that exist."""
        graph, alias = self._graph, self._alias
        tensors = {**graph.tensors, **self._added} if self._added else graph.tensors
        alive = {name: tensors[name] for name in graph.inputs}
        for op in self._running.values():
            for name in op.outputs:
                alive[name] = tensors[name]
        return OpGraph(
            ops=tuple(self._running.values()),
            tensors=alive,
            inputs=graph.inputs,
            outputs=tuple(alias.get(name, name) for name in graph.outputs),
        )

    def _keeps_image(self, op: Op, host: Op) -> bool:
        """Tell whether a window's output stays an image; behind a flattening view it would not."""
        if not kind_of(host.kind).is_window:
            return True
        tensors = self._graph.tensors
        return len(tensors[op.outputs[0]].shape) == len(tensors[host.outputs[0]].shape)

    def _skip(self, op: Op) -> None:
        """Let the readers of a renamed tensor read the tensor that exists."""
        self.fused_into[op.name] = ""
        source = self._alias.get(op.inputs[0], op.inputs[0])
        self._alias[op.outputs[0]] = source
        self._readers[source] = self._readers.get(source, 1) - 1 + self._readers[op.outputs[0]]

    def _merge_pad(self, pad: Op, op: Op) -> Op:
        """Add a Pad's zeros to the padding of the window that follows."""
        top, left, bottom, right = (a + b for a, b in zip(pad.pads, op.pads, strict=True))
        self.fused_into[pad.name] = op.name
        del self._running[pad.name]
        return with_changes(op, pads=(top, left, bottom, right))

    def _lying_alike(self, op: Op, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """Copy the second operand where only one is an image whose channels lie side by side.

        The output lies as the first.
        """
        tensors = self._graph.tensors
        whole, other = (tensors[name].shape for name in op.inputs)
        first, second = inputs
        lies = [name in self._as_image or _is_image(tensors[name]) for name in inputs]
        if lies[0]:
            self._as_image.add(op.outputs[0])
        if whole != other or lies[0] == lies[1]:
            return inputs
        copy = Tensor(name=f"{second}@{op.name}", shape=whole)
        moved = Op(
            name=f"{op.name}_relayout", kind="Transpose", inputs=(second,), outputs=(copy.name,)
        )
        self._running[moved.name], self._added[copy.name] = moved, copy
        return first, copy.name

    def _pad_explicitly(self, op: Op, inputs: tuple[str, ...]) -> tuple[Op, tuple[str, ...]]:
        """Put a Pad before a window whose padding the runtime cannot express."""
        shape = self._graph.tensors[op.inputs[0]].shape
        if is_same_padding(op, shape):
            return op, inputs
        pad, padded = pad_before(op, inputs[0], shape)
        self._running[pad.name], self._added[padded.name] = pad, padded
        return with_changes(op, pads=_NO_PADS), (padded.name,)


def _is_image(tensor: Tensor) -> bool:
    """Tell whether it has several channels at several places, which lie channels last."""
    shape = tensor.shape
    return len(shape) > 2 and shape[1] > 1 and tensor.elements > shape[0] * shape[1]


def with_changes(
    op: Op,
    *,
    inputs: tuple[str, ...] | None = None,
    outputs: tuple[str, ...] | None = None,
    biases: int | None = None,
    pads: tuple[int, int, int, int] | None = None,
    facts: FileFacts | None = None,
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
        facts=op.facts if facts is None else facts,
    )


def _absorbed_facts(op: Op, host: Op) -> FileFacts | None:
    """Return what is left of the host's facts: weights that a normalisation changes are its own."""
    facts, other = host.facts, op.facts
    if facts is None or other is None:
        return facts
    if op.kind == "BatchNormalization":
        return replace(facts, weight_key="", bias_key="")
    return replace(facts, bias_key=other.constant_key) if op.kind == "Add" else facts


def _absorbed_biases(op: Op, host: Op, rules: FusionRules) -> int | None:
    """Return the host's bias count after it absorbed `op`, or None when it cannot."""
    kind = op.kind
    if kind in rules.activations:
        takes_it = rules.saturates or _is_weighted(host) or kind_of(host.kind).takes_activation
        return host.biases if takes_it else None
    if kind == "BatchNormalization":
        absorbs = rules.batch_norm and kind_of(host.kind).takes_scale_and_shift
        return (host.biases or op.biases) if absorbs else None
    if kind == "Add" and len(op.inputs) == 1 and op.constants > 1:
        # A separate bias, as exporters write it after a MatMul. A scalar could be anything.
        return op.constants if _is_weighted(host) and not host.biases else None
    return None


def _is_weighted(op: Op) -> bool:
    return kind_of(op.kind).takes_scale_and_shift or (op.kind == "MatMul" and op.weights > 0)


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
