"""How long a student trains, by arithmetic: which of two candidates gives an answer sooner.

The clock would make a search depend on what else the machine does, so that no two runs of it
would try the same students. What a graph tells is the same everywhere; the constants are those of
one machine, and a user's own may be several times as fast. Use ratios, or scale the result by what
the first trainings took.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.graph import OpGraph

# Seconds on one thread of an AVX-512 server core: forward, backward and update in float32,
# channels-last, PyTorch 2.13. Fitted by `python -m benchmarks.speed.training_time` to 96 random
# students of every space; eight in ten predictions are 0.7 to 1.3 of what was measured. Depthwise
# networks are slow per multiply-accumulate because of their many elements, so the constant of their
# multiply-accumulates is known to a factor of two only.
_OPERATOR_S = 1.4e-4
_DENSE_MAC_S = 7.3e-11
_POINTWISE_MAC_S = 5.8e-11
_DEPTHWISE_MAC_S = 6.0e-11
_ELEMENT_S = 2.8e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingWork:
    """What a training step spends its time on, for one sample.

    Attributes:
        operators: that run; each costs a call forward and back, whatever the batch.
        dense_macs: multiply-accumulates of convolutions with wide windows.
        pointwise_macs: of 1x1 convolutions, linear layers and matrix products.
        elements: outputs of all operators: normalisation and activations read and write them
            several times, and narrow networks spend most of their time so.
    """

    operators: int
    dense_macs: int
    pointwise_macs: int
    depthwise_macs: int
    elements: int


def training_work(graph: OpGraph) -> TrainingWork:
    """Add up a graph as exported, for one sample."""
    dense = pointwise = depthwise = elements = 0
    for op in graph.ops:
        elements += graph.tensors[op.outputs[0]].elements
        if op.groups > 1:
            depthwise += op.macs
        elif op.kind == "Conv" and op.kernel != (1, 1):
            dense += op.macs
        else:
            pointwise += op.macs
    return TrainingWork(
        operators=len(graph.ops),
        dense_macs=dense,
        pointwise_macs=pointwise,
        depthwise_macs=depthwise,
        elements=elements,
    )


def predicted_training_s(graph: OpGraph, *, samples_seen: int, batch_size: int = 128) -> float:
    """Return the seconds that training takes on one thread of the machine of the constants.

    Args:
        batch_size: samples in one step.
    """
    work = training_work(graph)
    sample_s = (
        _DENSE_MAC_S * work.dense_macs
        + _POINTWISE_MAC_S * work.pointwise_macs
        + _DEPTHWISE_MAC_S * work.depthwise_macs
        + _ELEMENT_S * work.elements
        + _OPERATOR_S * work.operators / batch_size
    )
    return samples_seen * sample_s
