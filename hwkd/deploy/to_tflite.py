"""An int8 network as a .tflite file for TFLM, LiteRT and what compiles for them.

Weights, biases and quantisation parameters are the network's own, and what TensorFlow Lite's
reference kernels make of the file equals the exported C with the rounding `tflite`.
Feature maps lie channels last; where the network reshapes or multiplies them in ONNX's order, a
TRANSPOSE does what it must do on the chip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from hwkd.deploy.tflite_axes import (
    same_pads,
    stored_order,
    stored_shape,
)
from hwkd.deploy.tflite_file import Options, TfliteFile
from hwkd.deploy.tflite_tensors import RESHAPE, TfliteTensors, refused
from hwkd.qgraph.ir import (
    Binary,
    Concat,
    Conv,
    ConvTranspose,
    FullyConnected,
    LayerNorm,
    Lookup,
    MatMul,
    Pad,
    Pool,
    QuantGraph,
    QuantOp,
    ResizeLinear,
    Slice,
    Softmax,
    Table,
    Upsample,
    View,
)
from hwkd.qgraph.tflite_rounding import (
    SIXTH,
    THREE,
    THREE_STEPS,
    TableForm,
    activation_limits,
    add_factors,
    gate_tensor,
    table_form,
)

# Numbers of operators (`BuiltinOperator`) and of their options in TensorFlow Lite's schema.
_ADD, _AVERAGE_POOL, _CONCATENATION, _CONV, _DEPTHWISE = 0, 1, 2, 3, 4
_FULLY_CONNECTED, _MAX_POOL, _MUL, _SOFTMAX = 9, 17, 18, 25
_RELU_OPERATOR, _LOGISTIC = 19, 14
_RESIZE_NEAREST, _SLICE = 97, 65
_RESIZE_BILINEAR, _TRANSPOSE_CONV = 23, 67
_MAXIMUM, _MINIMUM = 55, 57
_PAD, _MEAN, _QUANTIZE, _HARD_SWISH, _BATCH_MATMUL = 34, 40, 114, 117, 126
_SAME: Final = 0
_VALID: Final = 1
_RELU, _RELU6 = 1, 3
# Scale and zero point that TensorFlow Lite's int8 softmax always writes.
_SOFTMAX_OUTPUT = (np.float32(1 / 256), -128)
_TABLE_OPERATORS: Final = {
    "quantize": (_QUANTIZE, Options(kind=89)),
    "relu": (_RELU_OPERATOR, None),
    "sigmoid": (_LOGISTIC, None),
    "hard_swish": (_HARD_SWISH, Options(kind=91)),
}
_WITHOUT_OPERATOR: Final[Mapping[type, str]] = {
    LayerNorm: "a layer normalisation", Lookup: "an embedding",
}  # fmt: skip
# Operators that may have a ReLU fused.
_Limited: TypeAlias = Conv | ConvTranspose | FullyConnected | Binary | Pool


def write_tflite(
    graph: QuantGraph, *, runs: bool = True, metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return the network as a .tflite file; tensors are named after the node that writes them.

    Args:
        runs: refuse what TensorFlow Lite would compute differently. A file that is only costed
            may hold HARD_SWISH for any function of one tensor: an NPU looks all of them up.
        metadata: name -> text that the file holds besides the network.

    Raises:
        ExportError: if an operator has no counterpart; the node is named.
    """
    return _Writer(graph, runs=runs).file(metadata or {})


class _Writer:
    """Walks the operators in order; used once."""

    def __init__(self, graph: QuantGraph, *, runs: bool) -> None:
        self._graph = graph
        self._runs = runs
        self._file = TfliteFile()
        self._tensors = TfliteTensors(graph, self._file)
        self._writers: dict[type, Callable[[Any], None]] = {
            Conv: self._conv, FullyConnected: self._fully_connected, MatMul: self._matmul,
            Binary: self._binary, Table: self._table, Pool: self._pool, Softmax: self._softmax,
            View: self._view, Concat: self._concat, Pad: self._pad,
            Upsample: self._upsample, Slice: self._slice, ResizeLinear: self._resize,
            ConvTranspose: self._conv_transpose,
        }  # fmt: skip

    def file(self, metadata: Mapping[str, str]) -> bytes:
        """Return the bytes."""
        graph = self._graph
        self._tensors.numbers[graph.input] = self._tensors.activation(
            graph.input, graph.tensors[graph.input]
        )
        for op in graph.ops:
            if type(op) in _WITHOUT_OPERATOR:
                raise refused(op, _WITHOUT_OPERATOR[type(op)])
            self._writers[type(op)](op)
        outputs = [self._tensors.numbers[name] for name in graph.outputs.values()]
        return self._file.to_bytes(
            inputs=[self._tensors.numbers[graph.input]], outputs=outputs, metadata=metadata
        )

    # Operators.

    def _conv(self, op: Conv) -> None:
        channels = self._graph.tensors[op.inputs[0]].shape[1]
        source, padding = self._padded(op)
        shared = {1: op.stride[1], 2: op.stride[0]}
        dilation, activation = op.dilation, self._fused(op)
        if op.groups == channels and op.groups > 1:
            operands = self._tensors.weights(op, op.weights.transpose(1, 2, 3, 0), axis=3)
            ints = shared | {3: len(op.weights) // channels, 5: dilation[1], 6: dilation[0]}
            options = Options(kind=2, bytes={0: padding, 4: activation}, ints=ints)
            self._file.add_operator(
                _DEPTHWISE, [source, *operands], self._tensors.output(op), options
            )
            return
        operands = self._tensors.weights(op, op.weights.transpose(0, 2, 3, 1), axis=0)
        ints = shared | {4: dilation[1], 5: dilation[0]}
        options = Options(kind=1, bytes={0: padding, 3: activation}, ints=ints)
        self._file.add_operator(_CONV, [source, *operands], self._tensors.output(op), options)

    def _fully_connected(self, op: FullyConnected) -> None:
        source = self._tensors.in_onnx_order(op.inputs[0])
        operands = self._tensors.weights(op, op.weights, axis=0)
        fused = self._fused(op)
        keeps_axes = len(self._graph.tensors[op.output].shape) > 2
        options = Options(kind=8, bytes={0: fused, 2: int(keeps_axes)})
        self._tensors.from_onnx_order(op, _FULLY_CONNECTED, [source, *operands], options)

    def _matmul(self, op: MatMul) -> None:
        sources = [self._tensors.in_onnx_order(name) for name in op.inputs]
        self._tensors.from_onnx_order(op, _BATCH_MATMUL, sources, Options(kind=101))

    def _binary(self, op: Binary) -> None:
        rank = len(self._graph.tensors[op.output].shape)
        sources = [self._tensors.input(name, rank) for name in op.inputs]
        code, kind = (_ADD, 11) if op.kind == "add" else (_MUL, 21)
        if op.kind == "add" and self._runs:
            tensors = self._graph.tensors
            add_factors(*(tensors[name] for name in (*op.inputs, op.output)))
        options = Options(kind=kind, bytes={0: self._fused(op)})
        self._file.add_operator(code, sources, self._tensors.output(op), options)

    def _table(self, op: Table) -> None:
        tensors = self._graph.tensors
        source, target = tensors[op.inputs[0]], tensors[op.output]
        found = table_form(op.table, source, target)
        if found is None and self._runs:
            raise refused(op, "a function other than ReLU, hard-swish, hard-sigmoid and sigmoid")
        form: TableForm = "hard_swish" if found is None else found[0]
        number = self._tensors.input(source.name)
        if form == "hard_sigmoid":
            self._hard_sigmoid(op, number)
            return
        if form == "limits":
            self._limits(op, number)
            return
        code, options = _TABLE_OPERATORS[form]
        self._file.add_operator(code, [number], self._tensors.output(op), options)

    def _hard_sigmoid(self, op: Table, source: int) -> None:
        """Write relu6(x + 3) / 6, for which TensorFlow Lite has no operator."""
        target = self._graph.tensors[op.output]
        rank, middle = len(target.shape), gate_tensor(target)
        three = self._tensors.scalar(f"{op.name}/three", THREE, THREE_STEPS, rank)
        shifted = self._tensors.activation(
            f"{op.name}/plus_three", middle, stored_shape(target.shape)
        )
        relu6 = Options(kind=11, bytes={0: _RELU6})
        self._file.add_operator(_ADD, [source, three], shifted, relu6)
        sixth = self._tensors.scalar(f"{op.name}/sixth", SIXTH, 1, rank)
        self._file.add_operator(_MUL, [shifted, sixth], self._tensors.output(op), Options(kind=21))

    def _limits(self, op: Table, number: int) -> None:
        """Write limits of integers as maximum and minimum with constants, which round nothing."""
        target = self._graph.tensors[op.output]
        low, high = int(op.table[0]), int(op.table[-1])
        rank, options = len(target.shape), Options(kind=39)
        if low > -128:
            bound = self._tensors.scalar(f"{op.name}/low", target, low, rank)
            number, source = self._tensors.output(op), number
            self._file.add_operator(_MAXIMUM, [source, bound], number, options)
        if high < 127:
            bound = self._tensors.scalar(f"{op.name}/high", target, high, rank)
            source = number
            number = self._tensors.activation(f"{op.name}/limited", target)
            self._file.add_operator(_MINIMUM, [source, bound], number, options)
            self._tensors.numbers[op.output] = number

    def _pool(self, op: Pool) -> None:
        if op.kind == "global_average":
            axes = self._tensors.integers(f"{op.name}/axes", [1, 2])
            sources = [self._tensors.input(op.inputs[0]), axes]
            options = Options(kind=27, bytes={0: 1})
            self._file.add_operator(_MEAN, sources, self._tensors.output(op), options)
            return
        if self._runs and not self._has_one_scale(op):
            raise refused(op, "pooling into another scale")
        source, padding = self._padded(op)
        (height, width), (down, across) = op.kernel, op.stride
        options = Options(
            kind=5,
            bytes={0: padding, 5: self._fused(op)},
            ints={1: across, 2: down, 3: width, 4: height},
        )
        code = _MAX_POOL if op.kind == "max" else _AVERAGE_POOL
        self._file.add_operator(code, [source], self._tensors.output(op), options)

    def _softmax(self, op: Softmax) -> None:
        rank = len(self._graph.tensors[op.output].shape)
        if op.axis not in (stored_order(rank)[-1], rank - 1):
            raise refused(op, "a softmax along another axis than the last in memory")
        target = self._graph.tensors[op.output]
        if self._runs and (target.scale, target.zero_point) != _SOFTMAX_OUTPUT:
            raise refused(
                op,
                "a softmax whose output is not scaled by 1/256 (leave it out: the "
                "largest value stays the largest)",
            )
        options = Options(kind=9, floats={0: 1.0})
        if op.axis == stored_order(rank)[-1]:
            source = self._tensors.input(op.inputs[0])
            self._file.add_operator(_SOFTMAX, [source], self._tensors.output(op), options)
        else:
            self._tensors.from_onnx_order(
                op, _SOFTMAX, [self._tensors.in_onnx_order(op.inputs[0])], options
            )

    def _view(self, op: View) -> None:
        source, target = (self._graph.tensors[name] for name in (op.inputs[0], op.output))
        if op.permutation is None:
            number = self._tensors.in_onnx_order(source.name)
            self._tensors.from_onnx_order(op, RESHAPE, [number], None)
            return
        before, after = stored_order(len(source.shape)), stored_order(len(target.shape))
        axes = [before.index(op.permutation[axis]) for axis in after]
        self._tensors.numbers[op.output] = self._tensors.reordered(
            op.name, self._tensors.input(source.name), source, stored_shape(source.shape), axes
        )

    def _concat(self, op: Concat) -> None:
        target = self._graph.tensors[op.output]
        sources = [
            self._rescaled(op, name, is_as_it_is=table is None)
            for name, table in zip(op.inputs, op.tables, strict=True)
        ]
        options = Options(kind=10, ints={0: stored_order(len(target.shape)).index(op.axis)})
        self._file.add_operator(_CONCATENATION, sources, self._tensors.output(op), options)

    def _rescaled(self, op: QuantOp, name: str, *, is_as_it_is: bool) -> int:
        """Return an operand in the scale of the output."""
        number = self._tensors.input(name)
        if is_as_it_is:
            return number
        shape = stored_shape(self._graph.tensors[name].shape)
        target = self._graph.tensors[op.output]
        rescaled = self._tensors.activation(f"{op.name}/{name}", target, shape)
        self._file.add_operator(_QUANTIZE, [number], rescaled, Options(kind=89))
        return rescaled

    def _upsample(self, op: Upsample) -> None:
        if len(op.factors) != 4 or op.factors[:2] != (1, 1):
            raise refused(op, f"repeating along the axes {list(op.factors)}, not of an image")
        sizes = self._graph.tensors[op.output].shape[2:]
        sources = [
            self._rescaled(op, op.inputs[0], is_as_it_is=op.table is None),
            self._tensors.integers(f"{op.name}/size", sizes),
        ]
        self._file.add_operator(
            _RESIZE_NEAREST, sources, self._tensors.output(op), Options(kind=74)
        )

    def _resize(self, op: ResizeLinear) -> None:
        sources = [
            self._rescaled(op, op.inputs[0], is_as_it_is=op.table is None),
            self._tensors.integers(f"{op.name}/size", self._graph.tensors[op.output].shape[2:]),
        ]
        modes = {2: int(op.coordinates == "align_corners"), 3: int(op.coordinates == "half_pixel")}
        options = Options(kind=15, bytes=modes)
        self._file.add_operator(_RESIZE_BILINEAR, sources, self._tensors.output(op), options)

    def _conv_transpose(self, op: ConvTranspose) -> None:
        source, target = (self._graph.tensors[name] for name in (op.inputs[0], op.output))
        sizes = zip(source.shape[2:], op.weights.shape[2:], op.stride, strict=True)
        whole = [(size - 1) * stride + kernel for size, kernel, stride in sizes]
        is_valid = tuple(whole) == target.shape[2:] and op.cut == (0, 0)
        grown = tuple(size * step for size, step in zip(source.shape[2:], op.stride, strict=True))
        over = tuple(
            max(size - kept, 0) // 2 for size, kept in zip(whole, target.shape[2:], strict=True)
        )
        if not is_valid and (grown != target.shape[2:] or op.cut != over):
            raise refused(op, f"a transposed convolution that cuts off {op.cut} first")
        shape = self._tensors.integers(f"{op.name}/shape", stored_shape(target.shape))
        operands = self._tensors.weights(op, op.weights.transpose(0, 2, 3, 1), axis=0)
        options = Options(
            kind=49, bytes={0: _VALID if is_valid else _SAME, 3: self._fused(op)},
            ints={1: op.stride[1], 2: op.stride[0]},
        )  # fmt: skip
        sources = [shape, operands[0], self._tensors.input(op.inputs[0]), operands[1]]
        self._file.add_operator(_TRANSPOSE_CONV, sources, self._tensors.output(op), options)

    def _slice(self, op: Slice) -> None:
        target = self._graph.tensors[op.output]
        order = list(stored_order(len(target.shape)))
        sources = [
            self._rescaled(op, op.inputs[0], is_as_it_is=op.table is None),
            self._tensors.integers(f"{op.name}/starts", np.array(op.starts)[order]),
            self._tensors.integers(f"{op.name}/sizes", np.array(target.shape)[order]),
        ]
        self._file.add_operator(_SLICE, sources, self._tensors.output(op), Options(kind=48))

    def _pad(self, op: Pad) -> None:
        source, target = (self._graph.tensors[name] for name in (op.inputs[0], op.output))
        if op.value != source.zero_point:
            raise refused(op, "a border of another value than 0")
        sizes = zip(source.shape, target.shape, op.before, strict=True)
        amounts = np.array([(low, large - small - low) for small, large, low in sizes], np.int32)
        stored = amounts[list(stored_order(len(source.shape)))]
        operand = self._tensors.integers(f"{op.name}/pads", stored)
        sources = [self._tensors.input(op.inputs[0]), operand]
        self._file.add_operator(_PAD, sources, self._tensors.output(op), Options(kind=22))

    # Padding, activation, order of axes.

    def _padded(self, op: Conv | Pool) -> tuple[int, int]:
        """Return the tensor to slide over, padded if neither SAME nor VALID says it, and which."""
        source = self._graph.tensors[op.inputs[0]]
        dilation = op.dilation if isinstance(op, Conv) else (1, 1)
        is_average = isinstance(op, Pool) and op.kind == "average"
        counts = isinstance(op, Pool) and op.counts_pads
        number = self._tensors.input(source.name)
        if not any(op.pads):
            return number, _VALID
        same = [
            same_pads(*sizes)
            for sizes in zip(source.shape[2:], op.kernel, op.stride, dilation, strict=True)
        ]
        top, left, bottom, right = op.pads
        if same == [(top, bottom), (left, right)] and not (is_average and counts):
            return number, _SAME
        if is_average and not counts:
            raise refused(op, f"padding {list(op.pads)} that is not counted")
        shape = stored_shape(source.shape)
        shape = (shape[0], shape[1] + top + bottom, shape[2] + left + right, shape[3])
        amounts = self._tensors.integers(
            f"{op.name}/pads", [(0, 0), (top, bottom), (left, right), (0, 0)]
        )
        padded = self._tensors.activation(f"{op.name}/padded", source, shape)
        self._file.add_operator(_PAD, [number, amounts], padded, Options(kind=22))
        return padded, _VALID

    def _fused(self, op: _Limited) -> int:
        """Return the activation whose limits the operator has."""
        limits, target = op.output_range, self._graph.tensors[op.output]
        if limits == (-128, 127):
            return 0
        if limits == activation_limits("relu", target):
            return _RELU
        if limits == activation_limits("relu6", target):
            return _RELU6
        if self._runs:
            raise refused(op, f"an activation limited to int8 values {list(limits)}")
        return _RELU6

    def _has_one_scale(self, op: QuantOp) -> bool:
        source, target = self._graph.tensors[op.inputs[0]], self._graph.tensors[op.output]
        return (source.scale, source.zero_point) == (target.scale, target.zero_point)
