"""The operator graph: the only thing that the cost model reads.

Operators carry ONNX names (`Conv`, `Gemm`, `Clip`, ...) because a graph computed from a student's
description must equal the exported ONNX file operator for operator. Shapes are NCHW with batch 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

__all__ = ["Op", "OpGraph", "Tensor"]


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Tensor:
    """One activation tensor.

    Attributes:
        name: unique inside the graph.
        shape: with the leading batch of 1; channels second (NCHW, NC).
    """

    name: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Op:
    """One operator of the graph that runs on the device.

    Attributes:
        name: unique inside the graph; equals the ONNX node's name.
        kind: ONNX operator type.
        inputs: names of activation tensors it reads (weights are not listed).
        outputs: names of activation tensors it writes.
        macs: multiply-accumulates for batch 1; one multiply-add is 1.
        weights: number of weight elements (biases excluded).
        biases: number of bias elements.
        kernel: (height, width); (1, 1) where it has no meaning.
        stride: (height, width).
        pads: (top, left, bottom, right).
        dilation: (height, width).
        groups: convolution groups; equal to the input channels for depthwise.
        zero_out_channels: output channels whose weights and bias are all zero.
        constants: elements of constant operands other than weights and biases (a scalar
            of a Mul, the table of an embedding).
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int = 0
    weights: int = 0
    biases: int = 0
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    zero_out_channels: int = 0
    constants: int = 0


@dataclass(slots=True, kw_only=True)
class OpGraph:
    """Operators in execution order and the tensors between them.

    Attributes:
        ops: topologically sorted.
        tensors: every activation tensor by name, graph inputs included.
        inputs: names of the graph's inputs.
        outputs: names of the graph's outputs.
    """

    ops: tuple[Op, ...]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(op.macs for op in self.ops)

    @property
    def params(self) -> int:
        """Weights and biases, in elements."""
        return sum(op.weights + op.biases for op in self.ops)
