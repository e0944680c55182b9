"""One float segment between DequantizeLinear and QuantizeLinear, with all that it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper

from hwkd.core.errors import ExportError
from hwkd.qgraph.encodings import Encoding, dequantised
from hwkd.qgraph.foreign_text import fresh_name
from hwkd.qgraph.ir import QuantTensor
from hwkd.trace.node_label import node_label

_Array = np.ndarray[Any, Any]
# Smallest and largest int8 output.
Range: TypeAlias = tuple[int, int]

# Types of activations, and what is taken from their integers to have them in int8.
BYTE_OFFSETS = {np.dtype(np.int8): 0, np.dtype(np.uint8): 128}


@dataclass(frozen=True, kw_only=True, eq=False)
class Constant:
    """A quantised constant: weights, bias or an operand."""

    values: _Array
    encoding: Encoding

    @property
    def steps(self) -> _Array:
        """The integers without their zero points, int64."""
        zero = self.encoding.along(self.encoding.zero_point, self.values.ndim)
        return np.asarray(self.values.astype(np.int64) - zero.astype(np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """Float nodes and the world around them.

    Attributes:
        nodes: in order; empty for a plain change of scale.
        floats: float tensor -> int8 tensor that it dequantises.
        tensors: int8 tensors met so far.
        constants: float tensor -> quantised constant that it dequantises.
        int8_constants: filled with constants that kernels read as tensors.
        names: of every tensor, of the file and our own; filled with new ones.
        bases: float tensor that was made whole -> what it is a digit of.
    """

    nodes: tuple[onnx.NodeProto, ...]
    floats: Mapping[str, str]
    tensors: dict[str, QuantTensor]
    constants: Mapping[str, Constant]
    arrays: Mapping[str, _Array]
    int8_constants: dict[str, np.ndarray[Any, np.dtype[np.int8]]]
    names: set[str]
    opsets: tuple[onnx.OperatorSetIdProto, ...]
    output: QuantTensor
    origin: str
    bases: Mapping[str, int] = field(default_factory=dict)

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
        return None if item is None else np.float32(dequantised(item.values, item.encoding).item())

    def quantised_scalar(self, name: str) -> Constant | None:
        """Return an operand that is a quantised constant of one value, else None."""
        found = self.constants.get(name)
        return found if found is not None and found.values.size == 1 else None

    def refuse(self, node: onnx.NodeProto, reason: str) -> ExportError:
        """Return the error that names a node."""
        return ExportError(f"{self.origin}: node {node_label(node)} ({node.op_type}): {reason}")

    def refuse_limits(self, node: onnx.NodeProto, limits: Range) -> None:
        """Refuse limits of the output, for a kernel that has none.

        Raises:
            ExportError: if there are some.
        """
        if limits != (-128, 127):
            raise self.refuse(node, "an activation follows without quantisation between them")

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
        name = node.input[position] if position < len(node.input) else ""
        if name in self.floats:
            return self.tensors[self.floats[name]]
        constant = self.constants.get(name)
        if constant is None:
            raise self.refuse(node, f"input {name!r} is float, expected it quantised, too")
        dtype, scales = constant.encoding.dtype, constant.encoding.scale.size
        if dtype not in BYTE_OFFSETS or scales != 1:
            raise self.refuse(
                node, f"constant {name!r} has {scales} scales and {dtype} values, expected one "
                "scale and 8 bits"
            )  # fmt: skip
        if name not in self.tensors:
            offset = BYTE_OFFSETS[dtype]
            shape = constant.values.shape
            padded = (1,) * (len(self.output.shape) - len(shape)) + shape
            values = constant.values.astype(np.int16).reshape(padded) - offset
            self.int8_constants[name] = values.astype(np.int8)
            self.tensors[name] = QuantTensor(
                name=name,
                shape=padded,
                scale=np.float32(constant.encoding.scale[0]),
                zero_point=int(constant.encoding.zero_point[0]) - offset,
                file_offset=offset,
            )
        return self.tensors[name]

    def new_tensor(self, suffix: str, like: QuantTensor, shape: tuple[int, ...]) -> QuantTensor:
        """Add a tensor of our own with the encoding of another one."""
        name = fresh_name(f"{self.output.name}/{suffix}", self.names)
        self.names.add(name)
        self.tensors[name] = replace(like, name=name, shape=shape)
        return self.tensors[name]
