"""The constants of an ONNX file: their sizes without reading them, their values only where needed.

Sizes are checked against the bytes that are really there, so a file that claims a huge tensor
costs nothing, and external data is read only from the model's own folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from hwkd.core.errors import ModelFileError

__all__ = ["Constant", "read_constants"]

_REFUSED: dict[int, str] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.FLOAT8E4M3FN: "float8",
    TensorProto.FLOAT8E4M3FNUZ: "float8",
    TensorProto.FLOAT8E5M2: "float8",
    TensorProto.FLOAT8E5M2FNUZ: "float8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One tensor stored in the file.

    Attributes:
        proto: as stored.
        shape: dimensions, checked against the stored bytes.
        external: (file, offset) of the bytes when they are outside the ONNX file.
    """

    proto: TensorProto
    shape: tuple[int, ...]
    external: tuple[Path, int] | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    def values(self) -> NDArray[np.generic]:
        """Read the values; at most as large as the file on disk."""
        if self.external is None:
            return np.asarray(numpy_helper.to_array(self.proto))
        path, offset = self.external
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.proto.data_type))
        flat = np.fromfile(path, dtype=dtype, count=self.elements, offset=offset)
        return flat.reshape(self.shape)


def refuse_dtype(data_type: int, what: str) -> None:
    """Raise for element types that no runtime of ours executes.

    Raises:
        ModelFileError: naming `what` and its type.
    """
    if data_type in _REFUSED:
        raise ModelFileError(
            f"{what} is {_REFUSED[data_type]}; expected float32 or int8 (QDQ): "
            "convert the model to float32 first"
        )


def read_constants(protos: Iterable[TensorProto], path: Path) -> dict[str, Constant]:
    """Check every stored tensor of a model.

    Args:
        protos: initializers and values of Constant nodes.
        path: the ONNX file, for messages and for the folder of external data.

    Raises:
        ModelFileError: if a tensor claims other bytes than it has, has a refused type, or lies
            outside the model's folder.
    """
    return {proto.name: _check(proto, path) for proto in protos}


def _check(proto: TensorProto, path: Path) -> Constant:
    what = f"{path}: tensor {proto.name!r}"
    refuse_dtype(proto.data_type, what)
    shape = tuple(proto.dims)
    if any(size < 0 for size in shape):
        raise ModelFileError(f"{what} has the shape {shape}; sizes must not be negative")
    claimed = _claimed_bytes(proto, shape, what)
    if proto.data_location == TensorProto.EXTERNAL:
        return Constant(proto=proto, shape=shape, external=_external(proto, path, claimed, what))
    held = _held_bytes(proto, claimed)
    if held != claimed:
        raise ModelFileError(
            f"{what} claims {claimed:,} bytes and holds {held:,}; "
            "the file is damaged, export it again"
        )
    return Constant(proto=proto, shape=shape)


def _claimed_bytes(proto: TensorProto, shape: tuple[int, ...], what: str) -> int:
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(proto.data_type)
    except (KeyError, ValueError) as error:
        raise ModelFileError(f"{what} has the unknown element type {proto.data_type}") from error
    if proto.data_type in (TensorProto.INT4, TensorProto.UINT4):
        return (prod(shape) + 1) // 2
    return prod(shape) * int(np.dtype(dtype).itemsize)


def _held_bytes(proto: TensorProto, claimed: int) -> int:
    """Bytes present; typed fields count elements, which is the same after scaling."""
    if proto.raw_data or not claimed:
        return len(proto.raw_data)
    elements = max(prod(proto.dims), 1)
    fields = (proto.float_data, proto.int32_data, proto.int64_data, proto.double_data)
    counts = [len(held) for held in (*fields, proto.uint64_data, proto.string_data)]
    return int(max(counts) * claimed // elements)


def _external(proto: TensorProto, path: Path, claimed: int, what: str) -> tuple[Path, int]:
    entries = {entry.key: entry.value for entry in proto.external_data}
    location = entries.get("location", "")
    folder = path.resolve().parent
    target = (folder / location).resolve()
    if not location or not target.is_relative_to(folder):
        raise ModelFileError(
            f"{what} has its data in {location!r}, outside the model's folder; "
            "put the data file beside the ONNX file"
        )
    offset = _integer(entries.get("offset", "0"))
    length = _integer(entries.get("length", str(claimed)))
    size = target.stat().st_size if target.is_file() else -1
    if offset < 0 or length != claimed or size < offset + claimed:
        there = f"has {size:,} bytes" if size >= 0 else "does not exist"
        raise ModelFileError(
            f"{what} needs {claimed:,} bytes at offset {offset:,} of {location!r}, which {there}"
        )
    return target, offset


def _integer(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1
