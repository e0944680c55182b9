"""Channels that never carry information, removed with what depends on them.

The MLPerf Tiny reference for visual wake words holds about a thousand output channels whose weights
and bias are all zero. Some runtimes compile them away and run that network much faster than others;
a cost model that ignores this blames the core for it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import prod

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.kinds import kind_of

# Kernels work on this many channels at a time: six of eight take as long as eight. Published
# MobileNets with 2 of their 8 first channels zero are not faster for it, 3.8 and 5.6% slower than
# their twin without.
_GROUP = 4


def drop_zero_channels(graph: OpGraph) -> OpGraph:
    """Remove all-zero output channels of convolutions and what follows them channel by channel.

    A chain from a convolution through depthwise convolutions, pools and activations to the next
    convolution or fully connected layer loses the largest number of zero channels found in it (they
    are taken to be the same channels), in whole groups. A chain that meets an addition, a
    concatenation or an output of the graph keeps all of them: their place in memory must exist.
    """
    if not any(op.zero_out_channels for op in graph.ops):
        return graph
    dropped = _dropped_by_tensor(graph)
    ops = tuple(_shrink(op, graph, dropped) for op in graph.ops)
    tensors = {
        name: Tensor(
            name=name, shape=(t.shape[0], t.shape[1] - dropped[name], *t.shape[2:]), bits=t.bits
        )
        if dropped.get(name)
        else t
        for name, t in graph.tensors.items()
    }
    return OpGraph(ops=ops, tensors=tensors, inputs=graph.inputs, outputs=graph.outputs)


def _dropped_by_tensor(graph: OpGraph) -> dict[str, int]:
    """Channels to remove from each tensor; tensors of one chain share the number."""
    chain: dict[str, str] = {}  # tensor -> first tensor of its chain
    zeros: dict[str, int] = defaultdict(int)
    kept = set(graph.inputs) | set(graph.outputs)
    for op in graph.ops:
        if _follows_channels(op, graph):
            first = chain.get(op.inputs[0], op.inputs[0])
            chain[op.outputs[0]] = first
            zeros[first] = max(zeros[first], op.zero_out_channels)
            continue
        if not _mixes_channels(op, graph):
            kept.update(op.inputs)
        elif op.kind == "Conv":
            zeros[op.outputs[0]] = op.zero_out_channels
    kept_chains = {chain.get(name, name) for name in kept}
    firsts = {name: chain.get(name, name) for name in graph.tensors}
    return {
        name: _without_rest(zeros[first], graph.tensors[name].shape[1])
        for name, first in firsts.items()
        if first not in kept_chains and zeros.get(first)
    }


def _without_rest(zeros: int, channels: int) -> int:
    """Return how many channels may go so that whole groups are left; at least one group stays."""
    left = -(-max(channels - zeros, 1) // _GROUP) * _GROUP
    return max(channels - left, 0)


def _follows_channels(op: Op, graph: OpGraph) -> bool:
    if len(op.inputs) != 1 or op.constants:
        return False
    if op.kind == "Conv":
        before, after = graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
        return len(before) > 1 and op.groups == before[1] > 1 and after[1] == before[1]
    if op.kind == "Reshape":
        before, after = graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
        return len(before) == 4 and before[2:] == (1, 1) and before[:2] == after
    return kind_of(op.kind).is_channelwise


def _mixes_channels(op: Op, graph: OpGraph) -> bool:
    """Tell whether every output reads every input channel, so that input channels may go."""
    if op.kind == "Conv":
        return op.groups == 1
    shape = graph.tensors[op.inputs[0]].shape if op.inputs else ()
    # A flattening that moves nothing is no operator: behind it an image of one pixel is a vector.
    is_vector = len(shape) >= 2 and prod(shape[2:]) == 1
    return op.kind in ("Gemm", "MatMul") and op.weights > 0 and is_vector


def _shrink(op: Op, graph: OpGraph, dropped: dict[str, int]) -> Op:
    """Scale an operator's work to the channels that are left on both sides."""
    lost_in = dropped.get(op.inputs[0], 0) if op.inputs else 0
    lost_out = dropped.get(op.outputs[0], 0)
    if not op.weights or not (lost_in or lost_out):
        return op
    before_in = graph.tensors[op.inputs[0]].shape[1]
    before_out = graph.tensors[op.outputs[0]].shape[1]
    channels_out = before_out - lost_out
    is_depthwise = op.groups > 1
    left = channels_out if is_depthwise else channels_out * (before_in - lost_in)
    full = before_out if is_depthwise else before_out * before_in
    return replace(
        op,
        macs=op.macs * left // full,
        weights=op.weights * left // full,
        # What the lost inputs added is constant and moves into the bias.
        biases=channels_out,
        groups=channels_out if is_depthwise else 1,
        zero_out_channels=max(op.zero_out_channels - lost_out, 0),
    )
