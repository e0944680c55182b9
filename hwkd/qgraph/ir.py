"""A quantised network as the C exporter sees it: int8 tensors and the operators between them.

Shapes are logical ONNX shapes with the leading batch of 1 (channels second); where the bytes lie is
decided later, by `hwkd.deploy.to_c.layout`. Scales are float32 values, zero points int8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Int8Array: TypeAlias = npt.NDArray[np.int8]
Int32Array: TypeAlias = npt.NDArray[np.int32]
Float32Array: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantTensor:
    """One int8 tensor: real value = scale * (q - zero_point).

    Attributes:
        name: unique inside the graph.
        shape: logical ONNX shape, batch of 1 first.
        scale: float32 value, > 0.
        zero_point: in [-128, 127].
        file_offset: what the integers of the file are more than these: 128 where it has uint8.
    """

    name: str
    shape: tuple[int, ...]
    scale: np.float32
    zero_point: int
    file_offset: int = 0

    @property
    def elements(self) -> int:
        """Number of elements, which is also the number of bytes."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """What every operator has.

    Attributes:
        name: of the ONNX node; unique.
        inputs: names of int8 tensors, constants included.
        output: name of the int8 tensor that it writes.
    """

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Weighted(_Node):
    """An operator with weights.

    Attributes:
        weights: int8, output channels first.
        weight_scales: one for each output channel.
        bias: int32 in units of input scale times weight scale.
        weight_zeros: what `weights` are more than the steps that they mean, for each output
            channel; None where that is 0 everywhere, and steps fit int8.
        output_range: smallest and largest int8 value it may write (ReLU and ReLU6 fused).
    """

    weights: Int8Array
    weight_scales: Float32Array
    bias: Int32Array
    weight_zeros: Int32Array | None = None
    output_range: tuple[int, int] = (-128, 127)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conv(_Weighted):
    """Convolution; `weights` has shape [out channels, in channels / groups, kernel h, kernel w].

    Attributes:
        stride: (height, width).
        pads: (top, left, bottom, right), filled with the input's zero point.
        dilation: (height, width).
    """

    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def kernel(self) -> tuple[int, int]:
        """(height, width)."""
        return int(self.weights.shape[2]), int(self.weights.shape[3])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FullyConnected(_Weighted):
    """Rows of the input times constant weights [out, in]: Gemm, or MatMul with a constant."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConvTranspose(_Weighted):
    """Transposed convolution; `weights` has shape [out channels, in channels, kernel h, kernel w].

    Attributes:
        stride: (height, width).
        cut: rows at the top and columns on the left of what it spreads that are left out.
    """

    stride: tuple[int, int]
    cut: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatMul(_Node):
    """Product of two activations over their last two axes; leading axes are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(_Node):
    """Elementwise operator; the second operand may broadcast.

    Attributes:
        output_range: smallest and largest int8 value it may write.
    """

    kind: Literal["add", "mul"]
    output_range: tuple[int, int] = (-128, 127)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table(_Node):
    """Elementwise function of one tensor as 256 int8 values, the one for -128 first."""

    table: Int8Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pool(_Node):
    """Pooling over windows.

    Attributes:
        kind: "global_average" is its own kind because it rounds differently from "average".
        kernel: (height, width).
        stride: (height, width).
        pads: (top, left, bottom, right).
        counts_pads: an average divides by the whole window also where it hangs over the edge.
        output_range: smallest and largest int8 value it may write.
        table: of a maximum, the 256 values that rescale it, or None where none is needed.
    """

    kind: Literal["max", "average", "global_average"]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    counts_pads: bool = False
    output_range: tuple[int, int] = (-128, 127)
    table: Int8Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(_Node):
    """Softmax over one axis, counted from 0."""

    axis: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerNorm(_Node):
    """Mean 0 and deviation 1 of each row, then a scale and a shift.

    Attributes:
        axis: the first of those that make a row; the last ones do.
        scales: real values, one for each element of a row.
        shifts: likewise.
        epsilon: added to the variance.
    """

    axis: int
    scales: Float32Array
    shifts: Float32Array
    epsilon: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View(_Node):
    """Reshape or Transpose: the same elements under other indices.

    Attributes:
        permutation: of the axes; None for a reshape.
    """

    permutation: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Concat(_Node):
    """Inputs side by side along one axis.

    Attributes:
        axis: counted from 0.
        tables: for each input the 256 values that rescale it, or None where none is needed.
    """

    axis: int
    tables: tuple[Int8Array | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lookup(_Node):
    """Rows of a table that whole numbers name.

    Attributes:
        rows: shape [base to the power of the digits, features], as the output has them.
        base: a digit is a real input modulo it; the last axis of the input holds them, the first
            counts most.
    """

    rows: Int8Array
    base: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice(_Node):
    """A stretch of the input along each axis.

    Attributes:
        starts: the first place that is kept, along each axis.
        table: the 256 values that rescale it, or None where none is needed.
    """

    starts: tuple[int, ...]
    table: Int8Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Upsample(_Node):
    """Each element again and again, next to itself.

    Attributes:
        factors: how often, along each axis.
        table: the 256 values that rescale it, or None where none is needed.
    """

    factors: tuple[int, ...]
    table: Int8Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Taps:
    """What each row, or each column, of a resized map reads of the input.

    Attributes:
        low: the one place.
        high: the other.
        low_weights: of the value at `low`, single precision.
        high_weights: likewise.
        fixed: int32, shape [outputs, 3]: low, high and the high one's weight of 1024, as kernels
            in fixed point have them.
    """

    low: Int32Array
    high: Int32Array
    low_weights: Float32Array
    high_weights: Float32Array
    fixed: Int32Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResizeLinear(_Node):
    """Values on straight lines between four neighbours, along height and width.

    Attributes:
        coordinates: where a place of the output lies in the input.
        table: the 256 values that rescale the result, or None where none is needed.
    """

    coordinates: Literal["half_pixel", "align_corners", "asymmetric"]
    rows: Taps
    columns: Taps
    table: Int8Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(_Node):
    """Constant border.

    Attributes:
        before: elements added before each axis.
        value: int8 value of the border.
    """

    before: tuple[int, ...]
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayout(_Node):
    """Copy into another arrangement in memory; put in by the layout pass only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part(_Node):
    """A part of an image; put in where layers run in patches.

    Attributes:
        rows: first, and the one behind the last.
        columns: likewise.
    """

    rows: tuple[int, int]
    columns: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop(_Part):
    """Copy of a part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paste(_Part):
    """Copy into a part of the output, which several of them write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep(_Node):
    """Move what is read again to the front of the columns; put in where a network streams.

    Attributes:
        dropped: columns that nothing reads again.
    """

    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunningMean(_Node):
    """Mean of the newest columns, those that came before among them; where a network streams.

    Attributes:
        mean: of them all at once, as the network has it.
    """

    mean: Pool


QuantOp: TypeAlias = (
    Conv | FullyConnected | MatMul | Binary | Table | Pool | Softmax | View | Concat | Pad
    | ConvTranspose | ResizeLinear | Upsample | Slice | Lookup | LayerNorm | Relayout | Crop | Paste
    | Keep | RunningMean
)  # fmt: skip
Weighted: TypeAlias = Conv | ConvTranspose | FullyConnected


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantGraph:
    """An int8 network with one input and one or more outputs.

    Attributes:
        ops: in execution order.
        tensors: every int8 tensor by name.
        constants: values of the tensors that no operator writes.
        input: name of the tensor that the application fills.
        outputs: name of each output in the file -> tensor that the application reads.
    """

    ops: tuple[QuantOp, ...]
    tensors: Mapping[str, QuantTensor]
    constants: Mapping[str, Int8Array] = field(default_factory=dict)
    input: str
    outputs: Mapping[str, str]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(op_macs(op, self) for op in self.ops)


def op_macs(op: QuantOp, graph: QuantGraph) -> int:
    """Return the multiply-accumulates of one operator; 0 where none is done."""
    output = graph.tensors[op.output].elements
    if isinstance(op, Conv | FullyConnected):
        return output * int(op.weights[0].size)
    if isinstance(op, ConvTranspose):
        height, width = graph.tensors[op.inputs[0]].shape[2:]
        return int(op.weights.size) * height * width
    if isinstance(op, ResizeLinear):
        return 4 * output
    if isinstance(op, MatMul):
        return output * graph.tensors[op.inputs[0]].shape[-1]
    return 0
