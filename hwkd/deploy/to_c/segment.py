"""One float segment between DequantizeLinear and QuantizeLinear, with all that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import helper

from hwkd.core.errors import ExportError
from hwkd.deploy.to_c.ir import QuantTensor

__all__ = ["Constant", "Segment"]

_Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """A quantised constant: weights or bias.

    Attributes:
        values: int8 or int32.
        scale: one, or one for each index of `axis`.
        zero_point: same number of values as `scale`.
        axis: where the scales run along.
    """

    values: _Array
    scale: _Array
    zero_point: _Array
    axis: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """Float nodes and the world around them.

    Attributes:
        nodes: in order; empty for a plain change of scale.
        floats: float tensor -> int8 tensor that it dequantises.
        tensors: int8 tensors met so far.
        constants: float tensor -> quantised constant that it dequantises.
        arrays: every plain constant of the file.
        int8_constants: filled with constants that kernels read as tensors.
        output: what the segment writes.
        origin: the file, for messages.
    """

    nodes: tuple[onnx.NodeProto, ...]
    floats: Mapping[str, str]
    tensors: dict[str, QuantTensor]
    constants: Mapping[str, Constant]
    arrays: Mapping[str, _Array]
    int8_constants: dict[str, np.ndarray[Any, np.dtype[np.int8]]]
    output: QuantTensor
    origin: str

    @cached_property
    def dynamic_inputs(self) -> tuple[str, ...]:
        """Int8 tensors that the segment reads, each once; constants of one value are none."""
        found: list[str] = []
        for node in self.nodes:
            for name in node.input:
                tensor = self.floats.get(name)
                if tensor is None or tensor in found or self.scalar(name) is not None:
                    continue
                found.append(tensor)
        return tuple(found)

    @property
    def has_wide_constants(self) -> bool:
        """Whether an operand is a quantised constant of more than one value."""
        return any(
            name in self.constants and self.constants[name].values.size > 1
            for node in self.nodes
            for name in node.input
        )

    def scalar(self, name: str) -> np.float32 | None:
        """Return the value of an operand that is a constant of one value, else None."""
        if name in self.arrays:
            array = self.arrays[name]
            return np.float32(array.reshape(())) if array.size == 1 else None
        item = self.quantised_scalar(name)
        if item is None:
            return None
        step = int(item.values.reshape(())) - int(item.zero_point.reshape(-1)[0])
        return np.float32(np.float32(step) * item.scale[0])

    def quantised_scalar(self, name: str) -> Constant | None:
        """Return an operand that is a quantised constant of one value, else None."""
        found = self.constants.get(name)
        tensor = self.floats.get(name)
        if tensor is not None and tensor in self.int8_constants:
            encoding = self.tensors[tensor]
            found = Constant(
                values=self.int8_constants[tensor],
                scale=np.array([encoding.scale]),
                zero_point=np.array([encoding.zero_point], dtype=np.int8),
                axis=0,
            )
        return found if found is not None and found.values.size == 1 else None

    def refuse(self, node: onnx.NodeProto, reason: str) -> ExportError:
        """Return the error that names a node."""
        name = node.name or node.output[0]
        return ExportError(f"{self.origin}: node {name!r} ({node.op_type}): {reason}")

    def attribute(self, node: onnx.NodeProto, name: str, default: Any) -> Any:
        """Return an attribute's value or the default."""
        for item in node.attribute:
            if item.name == name:
                value = helper.get_attribute_value(item)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def tensor(self, node: onnx.NodeProto, position: int) -> QuantTensor:
        """Return the int8 tensor behind an input; a quantised constant becomes one.

        Raises:
            ExportError: if the input is a plain float.
        """
        name = node.input[position]
        if name in self.floats:
            return self.tensors[self.floats[name]]
        constant = self.constants.get(name)
        if constant is None or constant.values.dtype != np.int8 or constant.scale.size != 1:
            raise self.refuse(node, f"input {name!r} is not an int8 tensor with one scale")
        if name not in self.tensors:
            shape = constant.values.shape
            padded = (1,) * (len(self.output.shape) - len(shape)) + shape
            self.int8_constants[name] = constant.values.reshape(padded)
            self.tensors[name] = QuantTensor(
                name=name,
                shape=padded,
                scale=np.float32(constant.scale[0]),
                zero_point=int(constant.zero_point.reshape(-1)[0]),
            )
        return self.tensors[name]
