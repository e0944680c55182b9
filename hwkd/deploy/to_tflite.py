"""An int8 network as a .tflite file for TFLM, LiteRT and what compiles for them.

Weights, biases and quantisation parameters are the network's own, and what TensorFlow Lite's
reference kernels make of the file equals the exported C with the rounding `tflite`.
Feature maps lie channels last; where the network reshapes or multiplies them in ONNX's order, a
TRANSPOSE does what it must do on the chip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from hwkd.core.errors import ExportError
from hwkd.deploy.tflite_axes import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    same_pads,
    stored_order,
    stored_shape,
)
from hwkd.deploy.tflite_file import INT8, INT32, Options, TfliteFile
from hwkd.qgraph.ir import (
    Binary,
    Concat,
    Conv,
    FullyConnected,
    MatMul,
    Pad,
    Pool,
    QuantGraph,
    QuantOp,
    QuantTensor,
    Softmax,
    Table,
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
_FULLY_CONNECTED, _MAX_POOL, _MUL, _RESHAPE, _SOFTMAX = 9, 17, 18, 22, 25
_RELU_OPERATOR = 19
_MAXIMUM, _MINIMUM = 55, 57
_PAD, _TRANSPOSE, _MEAN, _QUANTIZE, _HARD_SWISH, _BATCH_MATMUL = 34, 39, 40, 114, 117, 126
_SAME: Final = 0
_VALID: Final = 1
_RELU, _RELU6 = 1, 3
# Scale and zero point that TensorFlow Lite's int8 softmax always writes.
_SOFTMAX_OUTPUT = (np.float32(1 / 256), -128)
_TABLE_OPERATORS: Final = {
    "quantize": (_QUANTIZE, Options(kind=89)),
    "relu": (_RELU_OPERATOR, None),
    "hard_swish": (_HARD_SWISH, Options(kind=91)),
}
# Operators that may have a ReLU fused.
_Limited: TypeAlias = Conv | FullyConnected | Binary | Pool


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
        self._numbers: dict[str, int] = {}
        self._writers: dict[type, Callable[[Any], None]] = {
            Conv: self._conv, FullyConnected: self._fully_connected, MatMul: self._matmul,
            Binary: self._binary, Table: self._table, Pool: self._pool, Softmax: self._softmax,
            View: self._view, Concat: self._concat, Pad: self._pad,
        }  # fmt: skip

    def file(self, metadata: Mapping[str, str]) -> bytes:
        """Return the bytes."""
        graph = self._graph
        self._numbers[graph.input] = self._activation(graph.input, graph.tensors[graph.input])
        for op in graph.ops:
            self._writers[type(op)](op)
        outputs = [self._numbers[name] for name in graph.outputs.values()]
        return self._file.to_bytes(
            inputs=[self._numbers[graph.input]], outputs=outputs, metadata=metadata
        )

    # Tensors.

    def _activation(self, name: str, like: QuantTensor, shape: Sequence[int] | None = None) -> int:
        return self._file.add_tensor(
            name, stored_shape(like.shape) if shape is None else shape, INT8,
            scales=np.array([like.scale], np.float32), zero_point=like.zero_point,
        )  # fmt: skip

    def _output(self, op: QuantOp) -> int:
        number = self._activation(op.name, self._graph.tensors[op.output])
        self._numbers[op.output] = number
        return number

    def _input(self, name: str, rank: int | None = None) -> int:
        """Return a tensor's number; a constant is added, with leading axes up to `rank`."""
        values = self._graph.constants.get(name)
        if values is None:
            return self._numbers[name]
        tensor = self._graph.tensors[name]
        logical = values.reshape((1,) * ((rank or values.ndim) - values.ndim) + values.shape)
        stored = logical.transpose(CHANNELS_LAST) if logical.ndim == 4 else logical
        return self._file.add_tensor(
            name, stored.shape, INT8, scales=np.array([tensor.scale], np.float32),
            zero_point=tensor.zero_point, values=np.ascontiguousarray(stored),
        )  # fmt: skip

    def _integers(self, name: str, values: npt.ArrayLike) -> int:
        array = np.asarray(values, np.int32)
        return self._file.add_tensor(name, array.shape, INT32, values=array)

    def _weights(
        self, op: Conv | FullyConnected, stored: npt.NDArray[np.int8], axis: int
    ) -> list[int]:
        """Add weights and bias, with one scale for all where all are equal."""
        if op.weight_zeros is not None:
            raise _refused(
                op, "a zero point of weights other than 0 (quantise with weight_type=QInt8, or "
                "WeightSymmetric=True: C takes them)"
            )  # fmt: skip
        scales = op.weight_scales
        if (scales == scales[0]).all():
            scales = scales[:1]
        weights = self._file.add_tensor(
            f"{op.name}/weights", stored.shape, INT8, scales=scales, axis=axis,
            values=np.ascontiguousarray(stored),
        )  # fmt: skip
        bias = self._file.add_tensor(
            f"{op.name}/bias", op.bias.shape, INT32, values=op.bias,
            scales=self._graph.tensors[op.inputs[0]].scale * scales,
        )  # fmt: skip
        return [weights, bias]

    # Operators.

    def _conv(self, op: Conv) -> None:
        channels = self._graph.tensors[op.inputs[0]].shape[1]
        source, padding = self._padded(op)
        shared = {1: op.stride[1], 2: op.stride[0]}
        dilation, activation = op.dilation, self._fused(op)
        if op.groups == channels and op.groups > 1:
            operands = self._weights(op, op.weights.transpose(1, 2, 3, 0), axis=3)
            ints = shared | {3: len(op.weights) // channels, 5: dilation[1], 6: dilation[0]}
            options = Options(kind=2, bytes={0: padding, 4: activation}, ints=ints)
            self._file.add_operator(_DEPTHWISE, [source, *operands], self._output(op), options)
            return
        operands = self._weights(op, op.weights.transpose(0, 2, 3, 1), axis=0)
        ints = shared | {4: dilation[1], 5: dilation[0]}
        options = Options(kind=1, bytes={0: padding, 3: activation}, ints=ints)
        self._file.add_operator(_CONV, [source, *operands], self._output(op), options)

    def _fully_connected(self, op: FullyConnected) -> None:
        source = self._in_onnx_order(op.inputs[0])
        operands = self._weights(op, op.weights, axis=0)
        fused = self._fused(op)
        keeps_axes = len(self._graph.tensors[op.output].shape) > 2
        options = Options(kind=8, bytes={0: fused, 2: int(keeps_axes)})
        self._from_onnx_order(op, _FULLY_CONNECTED, [source, *operands], options)

    def _matmul(self, op: MatMul) -> None:
        sources = [self._in_onnx_order(name) for name in op.inputs]
        self._from_onnx_order(op, _BATCH_MATMUL, sources, Options(kind=101))

    def _binary(self, op: Binary) -> None:
        rank = len(self._graph.tensors[op.output].shape)
        sources = [self._input(name, rank) for name in op.inputs]
        code, kind = (_ADD, 11) if op.kind == "add" else (_MUL, 21)
        if op.kind == "add" and self._runs:
            tensors = self._graph.tensors
            add_factors(*(tensors[name] for name in (*op.inputs, op.output)))
        options = Options(kind=kind, bytes={0: self._fused(op)})
        self._file.add_operator(code, sources, self._output(op), options)

    def _table(self, op: Table) -> None:
        tensors = self._graph.tensors
        source, target = tensors[op.inputs[0]], tensors[op.output]
        found = table_form(op.table, source, target)
        if found is None and self._runs:
            raise _refused(op, "a function other than ReLU, hard-swish and hard-sigmoid")
        form: TableForm = "hard_swish" if found is None else found[0]
        number = self._input(source.name)
        if form == "hard_sigmoid":
            self._hard_sigmoid(op, number)
            return
        if form == "limits":
            self._limits(op, number)
            return
        code, options = _TABLE_OPERATORS[form]
        self._file.add_operator(code, [number], self._output(op), options)

    def _hard_sigmoid(self, op: Table, source: int) -> None:
        """Write relu6(x + 3) / 6, for which TensorFlow Lite has no operator."""
        target = self._graph.tensors[op.output]
        rank, middle = len(target.shape), gate_tensor(target)
        three = self._scalar(f"{op.name}/three", THREE, THREE_STEPS, rank)
        shifted = self._activation(f"{op.name}/plus_three", middle, stored_shape(target.shape))
        relu6 = Options(kind=11, bytes={0: _RELU6})
        self._file.add_operator(_ADD, [source, three], shifted, relu6)
        sixth = self._scalar(f"{op.name}/sixth", SIXTH, 1, rank)
        self._file.add_operator(_MUL, [shifted, sixth], self._output(op), Options(kind=21))

    def _limits(self, op: Table, number: int) -> None:
        """Write limits of integers as maximum and minimum with constants, which round nothing."""
        target = self._graph.tensors[op.output]
        low, high = int(op.table[0]), int(op.table[-1])
        rank, options = len(target.shape), Options(kind=39)
        if low > -128:
            bound = self._scalar(f"{op.name}/low", target, low, rank)
            number, source = self._output(op), number
            self._file.add_operator(_MAXIMUM, [source, bound], number, options)
        if high < 127:
            bound = self._scalar(f"{op.name}/high", target, high, rank)
            source = number
            number = self._activation(f"{op.name}/limited", target)
            self._file.add_operator(_MINIMUM, [source, bound], number, options)
            self._numbers[op.output] = number

    def _scalar(self, name: str, tensor: QuantTensor, steps: int, rank: int) -> int:
        return self._file.add_tensor(
            name, (1,) * rank, INT8, scales=np.array([tensor.scale], np.float32),
            zero_point=tensor.zero_point, values=np.full((1,) * rank, steps, np.int8),
        )  # fmt: skip

    def _pool(self, op: Pool) -> None:
        if op.kind == "global_average":
            axes = self._integers(f"{op.name}/axes", [1, 2])
            sources = [self._input(op.inputs[0]), axes]
            options = Options(kind=27, bytes={0: 1})
            self._file.add_operator(_MEAN, sources, self._output(op), options)
            return
        if self._runs and not self._has_one_scale(op):
            raise _refused(op, "pooling into another scale")
        source, padding = self._padded(op)
        (height, width), (down, across) = op.kernel, op.stride
        options = Options(
            kind=5,
            bytes={0: padding, 5: self._fused(op)},
            ints={1: across, 2: down, 3: width, 4: height},
        )
        code = _MAX_POOL if op.kind == "max" else _AVERAGE_POOL
        self._file.add_operator(code, [source], self._output(op), options)

    def _softmax(self, op: Softmax) -> None:
        rank = len(self._graph.tensors[op.output].shape)
        if op.axis not in (stored_order(rank)[-1], rank - 1):
            raise _refused(op, "a softmax along another axis than the last in memory")
        target = self._graph.tensors[op.output]
        if self._runs and (target.scale, target.zero_point) != _SOFTMAX_OUTPUT:
            raise _refused(
                op,
                "a softmax whose output is not scaled by 1/256 (leave it out: the "
                "largest value stays the largest)",
            )
        options = Options(kind=9, floats={0: 1.0})
        if op.axis == stored_order(rank)[-1]:
            source = self._input(op.inputs[0])
            self._file.add_operator(_SOFTMAX, [source], self._output(op), options)
        else:
            self._from_onnx_order(op, _SOFTMAX, [self._in_onnx_order(op.inputs[0])], options)

    def _view(self, op: View) -> None:
        source, target = (self._graph.tensors[name] for name in (op.inputs[0], op.output))
        if op.permutation is None:
            number = self._in_onnx_order(source.name)
            self._from_onnx_order(op, _RESHAPE, [number], None)
            return
        before, after = stored_order(len(source.shape)), stored_order(len(target.shape))
        axes = [before.index(op.permutation[axis]) for axis in after]
        self._numbers[op.output] = self._reordered(
            op.name, self._input(source.name), source, stored_shape(source.shape), axes
        )

    def _concat(self, op: Concat) -> None:
        target = self._graph.tensors[op.output]
        sources = []
        for name, table in zip(op.inputs, op.tables, strict=True):
            number = self._input(name)
            if table is not None:
                shape = stored_shape(self._graph.tensors[name].shape)
                rescaled = self._activation(f"{op.name}/{name}", target, shape)
                self._file.add_operator(_QUANTIZE, [number], rescaled, Options(kind=89))
                number = rescaled
            sources.append(number)
        options = Options(kind=10, ints={0: stored_order(len(target.shape)).index(op.axis)})
        self._file.add_operator(_CONCATENATION, sources, self._output(op), options)

    def _pad(self, op: Pad) -> None:
        source, target = (self._graph.tensors[name] for name in (op.inputs[0], op.output))
        if op.value != source.zero_point:
            raise _refused(op, "a border of another value than 0")
        sizes = zip(source.shape, target.shape, op.before, strict=True)
        amounts = np.array([(low, large - small - low) for small, large, low in sizes], np.int32)
        stored = amounts[list(stored_order(len(source.shape)))]
        operand = self._integers(f"{op.name}/pads", stored)
        sources = [self._input(op.inputs[0]), operand]
        self._file.add_operator(_PAD, sources, self._output(op), Options(kind=22))

    # Padding, activation, order of axes.

    def _padded(self, op: Conv | Pool) -> tuple[int, int]:
        """Return the tensor to slide over, padded if neither SAME nor VALID says it, and which."""
        source = self._graph.tensors[op.inputs[0]]
        dilation = op.dilation if isinstance(op, Conv) else (1, 1)
        is_average = isinstance(op, Pool) and op.kind == "average"
        counts = isinstance(op, Pool) and op.counts_pads
        number = self._input(source.name)
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
            raise _refused(op, f"padding {list(op.pads)} that is not counted")
        shape = stored_shape(source.shape)
        shape = (shape[0], shape[1] + top + bottom, shape[2] + left + right, shape[3])
        amounts = self._integers(f"{op.name}/pads", [(0, 0), (top, bottom), (left, right), (0, 0)])
        padded = self._activation(f"{op.name}/padded", source, shape)
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
            raise _refused(op, f"an activation limited to int8 values {list(limits)}")
        return _RELU6

    def _has_one_scale(self, op: QuantOp) -> bool:
        source, target = self._graph.tensors[op.inputs[0]], self._graph.tensors[op.output]
        return (source.scale, source.zero_point) == (target.scale, target.zero_point)

    def _in_onnx_order(self, name: str) -> int:
        """Return a tensor in ONNX's order of axes."""
        tensor, number = self._graph.tensors[name], self._input(name)
        if len(tensor.shape) != 4:
            return number
        return self._reordered(
            f"{name}/channels_first", number, tensor, stored_shape(tensor.shape), CHANNELS_FIRST
        )

    def _from_onnx_order(
        self, op: QuantOp, code: int, sources: list[int], options: Options | None
    ) -> None:
        """Add an operator that works in ONNX's order, and put its output in the stored one."""
        target = self._graph.tensors[op.output]
        shape = target.shape
        number = self._activation(op.name, target, shape)
        if code == _RESHAPE:
            sources = [*sources, self._integers(f"{op.name}/shape", shape)]
        self._file.add_operator(code, sources, number, options)
        if len(shape) == 4:
            name = f"{op.name}/channels_last"
            number = self._reordered(name, number, target, shape, CHANNELS_LAST)
        self._numbers[op.output] = number

    def _reordered(
        self, name: str, source: int, like: QuantTensor, shape: Sequence[int], axes: Sequence[int]
    ) -> int:
        """Add a TRANSPOSE, or a RESHAPE where no element moves."""
        result = self._activation(name, like, [shape[axis] for axis in axes])
        moved = [axis for axis in axes if shape[axis] > 1]
        if all(first < second for first, second in pairwise(moved)):
            operand = self._integers(f"{name}/shape", [shape[axis] for axis in axes])
            self._file.add_operator(_RESHAPE, [source, operand], result)
        else:
            operand = self._integers(f"{name}/axes", axes)
            self._file.add_operator(_TRANSPOSE, [source, operand], result, Options(kind=26))
        return result


def _refused(op: QuantOp, reason: str) -> ExportError:
    return ExportError(f"node {op.name!r}: {reason} has no counterpart in TensorFlow Lite")
