"""Tensors and operators in, bytes of a .tflite file out; nothing else is known here.

Field numbers are those of TensorFlow Lite's schema (schema.fbs, version 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import flatbuffers
import numpy as np
import numpy.typing as npt

from hwkd.core.errors import ExportError

INT32: Final = 2
INT8: Final = 9
_VERSION = 3
_LAST_BYTE_CODE = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One options table of an operator.

    Attributes:
        kind: its number in the union `BuiltinOptions`.
        bytes: field -> enumeration or truth value, stored in 8 bits.
        ints: field -> 32-bit integer.
        floats: field -> 32-bit float.
    """

    kind: int
    bytes: Mapping[int, int] = field(default_factory=dict)
    ints: Mapping[int, int] = field(default_factory=dict)
    floats: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: int
    scales: npt.NDArray[np.float32] | None
    zero_point: int
    axis: int
    buffer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operator:
    code: int
    inputs: tuple[int, ...]
    output: int
    options: Options | None


class TfliteFile:
    """Collects one subgraph; tensors and operators are numbered in the order of adding."""

    def __init__(self) -> None:
        """Start with the empty buffer that activations share."""
        self._tensors: list[_Tensor] = []
        self._buffers: list[bytes] = [b""]
        self._operators: list[_Operator] = []
        self._codes: list[int] = []

    def add_tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: int,
        *,
        scales: npt.NDArray[np.float32] | None = None,
        zero_point: int = 0,
        axis: int = 0,
        values: npt.NDArray[Any] | None = None,
    ) -> int:
        """Add a tensor and return its number.

        Args:
            name: for messages and reports of whoever reads the file.
            shape: channels last.
            dtype: `INT8` or `INT32`.
            scales: one, or one for each index of `axis`; None if not quantised.
            zero_point: the same for every scale.
            axis: where several scales run along.
            values: of a constant; None for an activation.
        """
        buffer = 0
        if values is not None:
            buffer = len(self._buffers)
            self._buffers.append(values.tobytes())
        self._tensors.append(
            _Tensor(
                name=name, shape=tuple(shape), dtype=dtype, scales=scales, zero_point=zero_point,
                axis=axis, buffer=buffer,
            )
        )  # fmt: skip
        return len(self._tensors) - 1

    def add_operator(
        self, code: int, inputs: Sequence[int], output: int, options: Options | None = None
    ) -> None:
        """Add an operator by its number in `BuiltinOperator`."""
        if code not in self._codes:
            self._codes.append(code)
        self._operators.append(
            _Operator(code=code, inputs=tuple(inputs), output=output, options=options)
        )

    def to_bytes(
        self,
        *,
        inputs: Sequence[int],
        outputs: Sequence[int],
        metadata: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the file with these tensors as the network's inputs and outputs.

        Args:
            metadata: name -> text, for whoever reads the file; each gets a buffer.
        """
        builder = flatbuffers.Builder(1 << 16)
        tensors = _offsets(builder, [self._tensor(builder, item) for item in self._tensors])
        operators = _offsets(builder, [self._operator(builder, item) for item in self._operators])
        name = builder.CreateString("main")
        ends = [builder.CreateNumpyVector(np.array(end, np.int32)) for end in (inputs, outputs)]
        builder.StartObject(6)
        for slot, offset in enumerate((tensors, *ends, operators, name)):
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        subgraphs = _offsets(builder, [builder.EndObject()])
        codes = _offsets(builder, [_code(builder, code) for code in self._codes])
        texts = metadata or {}
        held = [*self._buffers, *(text.encode() for text in texts.values())]
        buffers = _offsets(builder, [_buffer(builder, data) for data in held])
        entries = [
            _metadata(builder, name, number)
            for number, name in enumerate(texts, start=len(self._buffers))
        ]
        described = _offsets(builder, entries) if entries else 0
        description = builder.CreateString("hwkd")
        builder.StartObject(8)
        builder.PrependUint32Slot(0, _VERSION, 0)
        for slot, offset in enumerate((codes, subgraphs, description, buffers), start=1):
            builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        builder.PrependUOffsetTRelativeSlot(6, described, 0)
        builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _tensor(self, builder: Any, item: _Tensor) -> int:
        quantisation = _quantisation(builder, item)
        name = builder.CreateString(item.name)
        shape = builder.CreateNumpyVector(np.array(item.shape, np.int32))
        builder.StartObject(10)
        builder.PrependUOffsetTRelativeSlot(0, shape, 0)
        builder.PrependInt8Slot(1, item.dtype, 0)
        builder.PrependUint32Slot(2, item.buffer, 0)
        builder.PrependUOffsetTRelativeSlot(3, name, 0)
        builder.PrependUOffsetTRelativeSlot(4, quantisation, 0)
        return int(builder.EndObject())

    def _operator(self, builder: Any, item: _Operator) -> int:
        options = None if item.options is None else _options(builder, item.options)
        inputs = builder.CreateNumpyVector(np.array(item.inputs, np.int32))
        outputs = builder.CreateNumpyVector(np.array([item.output], np.int32))
        builder.StartObject(14)
        builder.PrependUint32Slot(0, self._codes.index(item.code), 0)
        builder.PrependUOffsetTRelativeSlot(1, inputs, 0)
        builder.PrependUOffsetTRelativeSlot(2, outputs, 0)
        if item.options is not None:
            builder.PrependUint8Slot(3, item.options.kind, 0)
            builder.PrependUOffsetTRelativeSlot(4, options, 0)
        return int(builder.EndObject())


def _quantisation(builder: Any, item: _Tensor) -> int:
    if item.scales is None:
        return 0
    scales = builder.CreateNumpyVector(item.scales.astype(np.float32).reshape(-1))
    zeros = builder.CreateNumpyVector(np.full(item.scales.size, item.zero_point, np.int64))
    builder.StartObject(7)
    builder.PrependUOffsetTRelativeSlot(2, scales, 0)
    builder.PrependUOffsetTRelativeSlot(3, zeros, 0)
    builder.PrependInt32Slot(6, item.axis, 0)
    return int(builder.EndObject())


def _options(builder: Any, options: Options) -> int:
    fields = (*options.bytes, *options.ints, *options.floats)
    builder.StartObject(max(fields, default=-1) + 1)
    for slot, value in options.bytes.items():
        builder.PrependInt8Slot(slot, value, 0)
    for slot, value in options.ints.items():
        if not -(2**31) <= value < 2**31:
            raise ExportError(
                f"an attribute of {value} does not fit the 32 bits that a TFLite file has for it; "
                "export --target c, or change the network"
            )
        builder.PrependInt32Slot(slot, value, 0)
    for slot, number in options.floats.items():
        builder.PrependFloat32Slot(slot, number, 0.0)
    return int(builder.EndObject())


def _code(builder: Any, code: int) -> int:
    builder.StartObject(4)
    builder.PrependInt8Slot(0, min(code, _LAST_BYTE_CODE), 0)
    builder.PrependInt32Slot(3, code, 0)
    return int(builder.EndObject())


def _metadata(builder: Any, name: str, buffer: int) -> int:
    text = builder.CreateString(name)
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, text, 0)
    builder.PrependUint32Slot(1, buffer, 0)
    return int(builder.EndObject())


def _buffer(builder: Any, data: bytes) -> int:
    vector = builder.CreateNumpyVector(np.frombuffer(data, np.uint8)) if data else 0
    builder.StartObject(3)
    builder.PrependUOffsetTRelativeSlot(0, vector, 0)
    return int(builder.EndObject())


def _offsets(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
