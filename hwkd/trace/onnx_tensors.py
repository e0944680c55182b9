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
from hwkd.trace.onnx_dtypes import dtype_name, refuse_dtype

# More than any operator has; a product of thousands of sizes takes minutes to multiply out.
MOST_DIMENSIONS = 32

# More digits than the offset of any file has; Python refuses to read very long numbers.
_MOST_DIGITS = 20
# Two values a byte.
_PACKED = (TensorProto.INT4, TensorProto.UINT4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """One tensor stored in the file.

    Attributes:
        shape: dimensions, checked against the stored bytes.
        external: (file, offset) of the bytes when they are outside the ONNX file.
    """

    proto: TensorProto
    shape: tuple[int, ...]
    external: tuple[Path, int] | None = None

    @property
    def dtype(self) -> str:
        """Element type by the name that costs use."""
        return dtype_name(self.proto.data_type)

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
    if len(shape) > MOST_DIMENSIONS:
        raise ModelFileError(
            f"{what} has {len(shape):,} dimensions; hwkd reads up to {MOST_DIMENSIONS}"
        )
    if any(size < 0 for size in shape):
        raise ModelFileError(f"{what} has the shape {shape}; sizes must not be negative")
    claimed = _claimed_bytes(proto, shape)
    if proto.data_location == TensorProto.EXTERNAL:
        return Constant(proto=proto, shape=shape, external=_external(proto, path, claimed, what))
    held = _held_bytes(proto, claimed)
    if held != claimed:
        raise ModelFileError(
            f"{what} claims {claimed:,} bytes and holds {held:,}; "
            "the file is damaged, export it again"
        )
    return Constant(proto=proto, shape=shape)


def _claimed_bytes(proto: TensorProto, shape: tuple[int, ...]) -> int:
    if proto.data_type in _PACKED:
        return (prod(shape) + 1) // 2
    dtype = onnx.helper.tensor_dtype_to_np_dtype(proto.data_type)
    return prod(shape) * int(np.dtype(dtype).itemsize)


def _held_bytes(proto: TensorProto, claimed: int) -> int:
    """Bytes present, raw or in the one typed field that readers of this element type look at."""
    if proto.HasField("raw_data"):
        return len(proto.raw_data)
    values = len(getattr(proto, onnx.helper.tensor_dtype_to_field(proto.data_type)))
    elements = (prod(proto.dims) + 1) // 2 if proto.data_type in _PACKED else prod(proto.dims)
    # Of an empty tensor every value is one too many, whatever its size.
    return values * claimed // elements if elements else values


def _external(proto: TensorProto, path: Path, claimed: int, what: str) -> tuple[Path, int]:
    entries = {entry.key: entry.value for entry in proto.external_data}
    location = entries.get("location", "")
    folder = path.resolve().parent
    try:
        target = (folder / location).resolve()
        size = target.stat().st_size if target.is_file() else -1
    except (OSError, ValueError):  # longer than a path may be, or with a zero byte in it
        raise ModelFileError(
            f"{what} has its data in {location[:40]!r}, which is no file name; the file is "
            "damaged, export it again"
        ) from None
    if not location or not target.is_relative_to(folder):
        raise ModelFileError(
            f"{what} has its data in {location!r}, outside the model's folder; "
            "put the data file beside the ONNX file"
        )
    offset = _integer(entries.get("offset", "0"))
    length = _integer(entries.get("length", str(claimed)))
    if offset < 0 or length != claimed or size < offset + claimed:
        there = f"has {size:,} bytes" if size >= 0 else "does not exist"
        raise ModelFileError(
            f"{what} needs {claimed:,} bytes at offset {offset:,} of {location!r}, which {there}"
        )
    return target, offset


def _integer(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS else -1
