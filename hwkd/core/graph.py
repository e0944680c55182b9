"""The operator graph: the only thing that the cost model reads.

Operators carry ONNX names (`Conv`, `Gemm`, `Clip`, ...) because a graph computed from a student's
description must equal the exported ONNX file operator for operator. Shapes are NCHW with batch 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Tensor:
    """One activation tensor.

    Attributes:
        name: unique inside the graph.
        shape: with the leading batch, mostly of 1; channels second (NCHW, NC); () of a scalar.
        bits: of one element, where the file fixes it (indices, 16-bit activations); None where
            the tensor takes the type that the network is costed in.
    """

    name: str
    shape: tuple[int, ...]
    bits: int | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def size_bytes(self, element_bytes: int) -> int:
        """Return the bytes that it takes, `element_bytes` an element unless the file fixes them."""
        if self.bits is None:
            return prod(self.shape) * element_bytes
        return (prod(self.shape) * self.bits + 7) // 8


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What only a model file says about an operator; a graph made from a description has none.

    Attributes:
        computes_in: "int8", "float32", ...; words such as "int8 to float32" for a mixture that no
            kernel is known for; None for the type that the network is costed in.
        weight_bits: of one weight; None for the type that the network is costed in.
        constant_bits: of one element of the other constants; None as before.
        weight_key: name of the stored weights; operators with the same name share them.
        bias_key: the same for biases.
        constant_key: the same for other constants.
        is_one_dimensional: a convolution or pooling over time, described as one of height 1.
    """

    computes_in: str | None = None
    weight_bits: int | None = None
    constant_bits: int | None = None
    weight_key: str = ""
    bias_key: str = ""
    constant_key: str = ""
    is_one_dimensional: bool = False


@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class Op:
    """One operator of the graph that runs on the device.

    Attributes:
        name: unique inside the graph; equals the ONNX node's name.
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
        facts: from a model file; None for an operator of a described student.
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
    facts: FileFacts | None = field(default=None, compare=False)


@dataclass(slots=True, kw_only=True)
class OpGraph:
    """Operators in execution order and the tensors between them.

    Attributes:
        ops: topologically sorted.
        tensors: every activation tensor by name, graph inputs included.
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
        """Weights, biases and vectors that are added or multiplied, in elements.

        What operators share counts once; a single number is an option and no parameter.
        """
        seen: set[str] = set()
        total = 0
        for op in self.ops:
            facts = op.facts
            vector = op.constants if op.constants > 1 else 0
            if facts is None:
                total += op.weights + op.biases + vector
                continue
            for count, key in (
                (op.weights, facts.weight_key),
                (op.biases, facts.bias_key),
                (vector, facts.constant_key),
            ):
                if not key or key not in seen:
                    total += count
                seen.add(key)
        return total
