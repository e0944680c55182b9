"""Writes an operator graph as an int8 .tflite file with zero weights, to measure TFLM's arena.

Memory does not depend on values, so weights are zeros and all scales are 1 (those of a
logistic output 1/256, as its kernel demands). The flatbuffer schema
comes with the `tflite-micro` wheel.
"""

from __future__ import annotations

from itertools import permutations

import flatbuffers
import numpy as np
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from hwkd.core.graph import Op, OpGraph

BUILTIN = schema.BuiltinOperator
OPTIONS = schema.BuiltinOptions
SAME, VALID = 0, 1
# Operators that are their inputs and options that may stay at their defaults.
_PLAIN = {
    "Add": (BUILTIN.ADD, schema.AddOptionsT),
    "Relu": (BUILTIN.RELU, None),
    "Clip": (BUILTIN.RELU6, None),
    "HardSwish": (BUILTIN.HARD_SWISH, schema.HardSwishOptionsT),
    # TFLM has no hard sigmoid; the logistic function has its memory behaviour.
    "HardSigmoid": (BUILTIN.LOGISTIC, None),
    "Sigmoid": (BUILTIN.LOGISTIC, None),
}
_UNIT_INTERVAL = frozenset({"HardSigmoid", "Sigmoid"})


def write_tflite(graph: OpGraph) -> bytes:
    """Return the file of a graph that was fused with TFLM's rules."""
    return _Writer(graph).finish()


class _Writer:
    def __init__(self, graph: OpGraph) -> None:
        self.graph = graph
        self.tensors: list[schema.TensorT] = []
        self.buffers = [schema.BufferT()]
        self.operators: list[schema.OperatorT] = []
        self.codes: list[int] = []
        self.index: dict[str, int] = {}
        self.plain = _plain_tensors(graph)
        for name in graph.inputs:
            self.activation(name)
        for op in graph.ops:
            for name in op.outputs:
                self.activation(name)
            self.operator(op)

    def finish(self) -> bytes:
        subgraph = schema.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors = self.tensors
        subgraph.inputs = [self.index[name] for name in self.graph.inputs]
        subgraph.outputs = [self.index[name] for name in self.graph.outputs]
        subgraph.operators = self.operators
        model = schema.ModelT()
        model.version = 3
        model.description = "hwkd"
        model.operatorCodes = [_operator_code(code) for code in self.codes]
        model.subgraphs = [subgraph]
        model.buffers = self.buffers
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape as TFLM sees it: channels last for feature maps."""
        shape = self.graph.tensors[name].shape
        if len(shape) == 4 and name not in self.plain:
            return (shape[0], shape[2], shape[3], shape[1])
        return shape

    def activation(self, name: str) -> int:
        self.index[name] = self.tensor(self.shape(name), schema.TensorType.INT8, name)
        return self.index[name]

    def tensor(
        self,
        shape: tuple[int, ...],
        dtype: int,
        name: str,
        *,
        channels: int = 1,
        channel_axis: int = 0,
        data: np.ndarray | None = None,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), dtype
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        is_shape = dtype == schema.TensorType.INT32 and channels == 0
        if not is_shape:
            quantization = schema.QuantizationParametersT()
            quantization.scale = np.ones(channels, np.float32)
            quantization.zeroPoint = np.zeros(channels, np.int64)
            quantization.quantizedDimension = channel_axis
            tensor.quantization = quantization
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def integers(self, values: list[int], name: str) -> int:
        data = np.array(values, np.int32)
        shape = (len(values),)
        return self.tensor(shape, schema.TensorType.INT32, name, channels=0, data=data)

    def weights(self, shape: tuple[int, ...], name: str, channels: int, axis: int) -> int:
        return self.tensor(
            shape, schema.TensorType.INT8, name,
            channels=channels, channel_axis=axis, data=np.zeros(shape, np.int8),
        )  # fmt: skip

    def bias(self, size: int, name: str, channels: int) -> int:
        return self.tensor(
            (size,), schema.TensorType.INT32, name, channels=channels, data=np.zeros(size, np.int32)
        )

    def emit(self, code: int, inputs: list[int], outputs: list[int], options: object) -> None:
        if code not in self.codes:
            self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.index(code)
        operator.inputs, operator.outputs = inputs, outputs
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(OPTIONS, kind)
            operator.builtinOptions = options
        self.operators.append(operator)

    def operator(self, op: Op) -> None:
        inputs, output = [self.index[name] for name in op.inputs], self.index[op.outputs[0]]
        if op.kind in _PLAIN:
            code, options = _PLAIN[op.kind]
            if op.kind in _UNIT_INTERVAL:
                self.scale_to_unit_interval(output)
            self.emit(code, inputs, [output], options() if options else None)
            return
        writer = getattr(self, f"write_{op.kind.lower()}", None)
        if writer is None:
            raise ValueError(f"{op.name}: the writer has no {op.kind}")
        writer(op, inputs, output)

    def scale_to_unit_interval(self, output: int) -> None:
        quantization = self.tensors[output].quantization
        quantization.scale = np.array([1 / 256], np.float32)
        quantization.zeroPoint = np.array([-128], np.int64)

    def write_conv(self, op: Op, inputs: list[int], output: int) -> None:
        in_shape, out_shape = self.shape(op.inputs[0]), self.shape(op.outputs[0])
        channels = out_shape[3]
        height, width = op.kernel
        depthwise = op.groups == in_shape[3] and op.groups > 1
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.strideH, options.strideW = op.stride
        options.dilationHFactor, options.dilationWFactor = op.dilation
        options.padding = VALID if not any(op.pads) else SAME
        if depthwise:
            options.depthMultiplier = channels // in_shape[3]
            weights = self.weights((1, height, width, channels), f"{op.name}/w", channels, 3)
        else:
            shape = (channels, height, width, in_shape[3] // op.groups)
            weights = self.weights(shape, f"{op.name}/w", channels, 0)
        bias = self.bias(channels, f"{op.name}/b", channels)
        code = BUILTIN.DEPTHWISE_CONV_2D if depthwise else BUILTIN.CONV_2D
        self.emit(code, [*inputs, weights, bias], [output], options)

    def write_gemm(self, op: Op, inputs: list[int], output: int) -> None:
        features = self.shape(op.outputs[0])[-1]
        shape = (features, op.weights // features)
        operands = [*inputs, self.weights(shape, f"{op.name}/w", 1, 0)]
        operands.append(self.bias(features, f"{op.name}/b", 1))
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = False
        self.emit(BUILTIN.FULLY_CONNECTED, operands, [output], options)

    def write_mul(self, op: Op, inputs: list[int], output: int) -> None:
        if len(inputs) == 1:
            inputs = [
                *inputs,
                self.tensor((), schema.TensorType.INT8, f"{op.name}/c", data=_byte()),
            ]
        self.emit(BUILTIN.MUL, inputs, [output], schema.MulOptionsT())

    def write_softmax(self, op: Op, inputs: list[int], output: int) -> None:  # noqa: ARG002
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0  # the interpreter crashes on the default of 0
        self.scale_to_unit_interval(output)
        self.emit(BUILTIN.SOFTMAX, inputs, [output], options)

    def write_averagepool(self, op: Op, inputs: list[int], output: int) -> None:
        self.emit(BUILTIN.AVERAGE_POOL_2D, inputs, [output], _pool_options(op))

    def write_maxpool(self, op: Op, inputs: list[int], output: int) -> None:
        self.emit(BUILTIN.MAX_POOL_2D, inputs, [output], _pool_options(op))

    def write_globalaveragepool(self, op: Op, inputs: list[int], output: int) -> None:
        options = schema.ReducerOptionsT()
        options.keepDims = len(self.shape(op.outputs[0])) == 4
        self.emit(BUILTIN.MEAN, [*inputs, self.integers([1, 2], f"{op.name}/a")], [output], options)

    write_reducemean = write_globalaveragepool

    def write_reshape(self, op: Op, inputs: list[int], output: int) -> None:
        shape = list(self.shape(op.outputs[0]))
        options = schema.ReshapeOptionsT()
        options.newShape = shape
        operand = self.integers(shape, f"{op.name}/s")
        self.emit(BUILTIN.RESHAPE, [*inputs, operand], [output], options)

    write_flatten = write_reshape

    def write_transpose(self, op: Op, inputs: list[int], output: int) -> None:
        before, after = self.shape(op.inputs[0]), self.shape(op.outputs[0])
        orders = permutations(range(len(before)))
        order = next(
            o for o in orders if tuple(before[i] for i in o) == after and o != tuple(sorted(o))
        )
        operand = self.integers(list(order), f"{op.name}/p")
        self.emit(BUILTIN.TRANSPOSE, [*inputs, operand], [output], schema.TransposeOptionsT())

    def write_matmul(self, op: Op, inputs: list[int], output: int) -> None:
        if op.weights:
            self.write_gemm(op, inputs, output)
            return
        self.emit(BUILTIN.BATCH_MATMUL, inputs, [output], schema.BatchMatMulOptionsT())

    def write_concat(self, op: Op, inputs: list[int], output: int) -> None:
        options = schema.ConcatenationOptionsT()
        before, after = self.shape(op.inputs[0]), self.shape(op.outputs[0])
        options.axis = next(i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
        self.emit(BUILTIN.CONCATENATION, inputs, [output], options)

    def write_pad(self, op: Op, inputs: list[int], output: int) -> None:
        top, left, bottom, right = op.pads
        amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        operand = self.tensor(
            (4, 2), schema.TensorType.INT32, f"{op.name}/p", channels=0, data=amounts
        )
        self.emit(BUILTIN.PAD, [*inputs, operand], [output], schema.PadOptionsT())


def _plain_tensors(graph: OpGraph) -> set[str]:
    """Rank-4 tensors that are no feature maps: operands of matrix products and what is reshaped."""
    plain: set[str] = set()
    for op in graph.ops:
        if op.kind in ("MatMul", "Transpose"):
            plain.update((*op.inputs, *op.outputs))
    return plain


def _pool_options(op: Op) -> schema.Pool2DOptionsT:
    options = schema.Pool2DOptionsT()
    options.filterHeight, options.filterWidth = op.kernel
    options.strideH, options.strideW = op.stride
    options.padding = VALID if not any(op.pads) else SAME
    return options


def _operator_code(code: int) -> schema.OperatorCodeT:
    operator_code = schema.OperatorCodeT()
    operator_code.builtinCode = code
    operator_code.deprecatedBuiltinCode = min(code, 127)
    operator_code.version = 1
    return operator_code


def _byte() -> np.ndarray:
    return np.zeros(1, np.int8)
