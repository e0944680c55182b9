"""Tensors of a .tflite file under construction: their numbers, and in which order they lie."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hwkd.core.errors import ExportError
from hwkd.deploy.tflite_axes import CHANNELS_FIRST, CHANNELS_LAST, stored_shape
from hwkd.deploy.tflite_file import INT8, INT32, Options, TfliteFile
from hwkd.qgraph.ir import QuantGraph, QuantOp, QuantTensor, Weighted

# Numbers of operators (`BuiltinOperator`) in TensorFlow Lite's schema.
RESHAPE, _TRANSPOSE = 22, 39


class TfliteTensors:
    """The tensors of a network in its file.

    Attributes:
        numbers: name of a tensor of the network -> number of the one that holds it.
    """

    def __init__(self, graph: QuantGraph, file: TfliteFile) -> None:
        """Begin with none."""
        self._graph = graph
        self._file = file
        self.numbers: dict[str, int] = {}

    def activation(self, name: str, like: QuantTensor, shape: Sequence[int] | None = None) -> int:
        """Add an int8 tensor that nothing but operators fill; its shape is the stored one."""
        return self._file.add_tensor(
            name, stored_shape(like.shape) if shape is None else shape, INT8,
            scales=np.array([like.scale], np.float32), zero_point=like.zero_point,
        )  # fmt: skip

    def output(self, op: QuantOp) -> int:
        """Add the tensor that an operator writes."""
        number = self.activation(op.name, self._graph.tensors[op.output])
        self.numbers[op.output] = number
        return number

    def input(self, name: str, rank: int | None = None) -> int:
        """Return a tensor's number; a constant is added, with leading axes up to `rank`."""
        values = self._graph.constants.get(name)
        if values is None:
            return self.numbers[name]
        tensor = self._graph.tensors[name]
        logical = values.reshape((1,) * ((rank or values.ndim) - values.ndim) + values.shape)
        stored = logical.transpose(CHANNELS_LAST) if logical.ndim == 4 else logical
        return self._file.add_tensor(
            name, stored.shape, INT8, scales=np.array([tensor.scale], np.float32),
            zero_point=tensor.zero_point, values=np.ascontiguousarray(stored),
        )  # fmt: skip

    def integers(self, name: str, values: npt.ArrayLike) -> int:
        """Add a constant of int32 numbers."""
        array = np.asarray(values, np.int32)
        return self._file.add_tensor(name, array.shape, INT32, values=array)

    def weights(self, op: Weighted, stored: npt.NDArray[np.int8], axis: int) -> list[int]:
        """Add weights and bias, with one scale for all where all are equal."""
        if op.weight_zeros is not None:
            raise refused(
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

    def scalar(self, name: str, tensor: QuantTensor, steps: int, rank: int) -> int:
        """Add one int8 value with axes of length 1."""
        return self._file.add_tensor(
            name, (1,) * rank, INT8, scales=np.array([tensor.scale], np.float32),
            zero_point=tensor.zero_point, values=np.full((1,) * rank, steps, np.int8),
        )  # fmt: skip

    def in_onnx_order(self, name: str) -> int:
        """Return a tensor in ONNX's order of axes."""
        tensor, number = self._graph.tensors[name], self.input(name)
        if len(tensor.shape) != 4:
            return number
        return self.reordered(
            f"{name}/channels_first", number, tensor, stored_shape(tensor.shape), CHANNELS_FIRST
        )

    def from_onnx_order(
        self, op: QuantOp, code: int, sources: list[int], options: Options | None
    ) -> None:
        """Add an operator that works in ONNX's order, and put its output in the stored one."""
        target = self._graph.tensors[op.output]
        shape = target.shape
        number = self.activation(op.name, target, shape)
        if code == RESHAPE:
            sources = [*sources, self.integers(f"{op.name}/shape", shape)]
        self._file.add_operator(code, sources, number, options)
        if len(shape) == 4:
            name = f"{op.name}/channels_last"
            number = self.reordered(name, number, target, shape, CHANNELS_LAST)
        self.numbers[op.output] = number

    def reordered(
        self, name: str, source: int, like: QuantTensor, shape: Sequence[int], axes: Sequence[int]
    ) -> int:
        """Add a TRANSPOSE, or a RESHAPE where no element moves."""
        result = self.activation(name, like, [shape[axis] for axis in axes])
        moved = [axis for axis in axes if shape[axis] > 1]
        if all(first < second for first, second in pairwise(moved)):
            operand = self.integers(f"{name}/shape", [shape[axis] for axis in axes])
            self._file.add_operator(RESHAPE, [source, operand], result)
        else:
            operand = self.integers(f"{name}/axes", axes)
            self._file.add_operator(_TRANSPOSE, [source, operand], result, Options(kind=26))
        return result


def refused(op: QuantOp, reason: str) -> ExportError:
    """Return the refusal of an operator."""
    return ExportError(f"node {op.name!r}: {reason} has no counterpart in TensorFlow Lite")
