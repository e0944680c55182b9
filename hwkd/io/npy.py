"""Reads arrays in NumPy's format without pickle, whatever their header claims.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. NumPy's own reader
allocates what a header claims before it reads, and a damaged header makes it raise errors of
Python's tokenizer; here the claim is compared with the bytes that are there, and every fault is a
`ValueError` that says what is wrong.
"""

from __future__ import annotations

import ast
from math import prod
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

_Header: TypeAlias = tuple[np.dtype[Any], tuple[int, ...], bool]

_MAGIC = b"\x93NUMPY"
# NumPy's own limit; a header of plain numbers takes 118 bytes.
_MOST_HEADER_BYTES = 10_000
_MOST_AXES = 32
_CHUNK_BYTES = 1024**2
# Bool, whole and real numbers, bytes and text; the rest is no data for training.
_KINDS = "biufSU"


class ByteStream(Protocol):
    """What is read of an open file or of a member of an archive."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes."""
        ...

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from its start and return how many bytes were read."""
        ...


def read_npy(stream: ByteStream, *, available_bytes: int) -> NDArray[Any]:
    """Read one array in native byte order.

    Args:
        available_bytes: of the stream from there on; memory used is at most twice this.

    Raises:
        ValueError: if it is no array of numbers or text, or is cut or longer than its header says.
    """
    (dtype, shape, is_fortran), header_bytes = _read_header(stream)
    needed, there = prod(shape) * dtype.itemsize, available_bytes - header_bytes
    if needed != there:
        raise ValueError(
            f"the header claims shape {_short(shape)} of {dtype}, {needed:,} bytes, and "
            f"{there:,} are there"
        )
    buffer = np.empty(needed, np.uint8)
    view = memoryview(buffer.data)
    filled = 0
    while filled < needed:
        got = stream.readinto(view[filled : filled + _CHUNK_BYTES])
        if not got:
            raise ValueError(f"cut: {filled:,} of {needed:,} bytes of values")
        filled += got
    values = buffer.view(dtype).reshape(shape, order="F" if is_fortran else "C")
    return np.asarray(values, dtype=dtype.newbyteorder("="), order="C")


def read_npy_file(path: Path) -> NDArray[Any]:
    """Read a `.npy` file; see `read_npy`."""
    with path.open("rb") as stream:
        return read_npy(stream, available_bytes=path.stat().st_size)


def _read_header(stream: ByteStream) -> tuple[_Header, int]:
    """Return (type, shape, whether the first axis runs fastest) and the size of the header."""
    start = stream.read(8)
    if len(start) < 8 or start[:6] != _MAGIC:
        raise ValueError("no NumPy array; it starts with other bytes")
    width = 2 if start[6] == 1 else 4
    if start[6] not in (1, 2, 3):
        raise ValueError(f"NumPy format {start[6]}.{start[7]} is unknown; 1, 2 and 3 are known")
    size = stream.read(width)
    length = int.from_bytes(size, "little")
    if len(size) < width or length > _MOST_HEADER_BYTES:
        raise ValueError(f"a header of {length:,} bytes; at most {_MOST_HEADER_BYTES:,} are read")
    text = stream.read(length)
    if len(text) < length:
        raise ValueError("the header is cut")
    return _parsed(text.decode("utf-8" if start[6] == 3 else "latin-1")), 8 + width + length


def _parsed(text: str) -> _Header:
    try:
        header = ast.literal_eval(text.strip())
    # Deep brackets make the parser run out of stack, in either of two ways.
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("the header is damaged") from error
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("the header is damaged")
    shape, order = header["shape"], header["fortran_order"]
    is_shape = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 2**48 for n in shape)
    if not is_shape or len(shape) > _MOST_AXES or type(order) is not bool:
        raise ValueError("the header holds no shape")
    if not isinstance(header["descr"], str):
        raise ValueError("records of several values; save plain arrays of numbers")
    try:
        dtype = np.dtype(header["descr"])
    except (TypeError, ValueError, SyntaxError) as error:
        raise ValueError("the header names no type") from error
    if dtype.kind not in _KINDS or not dtype.itemsize:
        kind = "Python objects" if dtype.hasobject else f"type {dtype}"
        advice = ", names as text (labels.astype(str))" if dtype.hasobject else ""
        raise ValueError(
            f"holds {kind}, which are never loaded; save plain arrays of numbers{advice}"
        )
    return dtype, shape, order


def _short(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= 6 else f"({', '.join(map(str, shape[:6]))}, ...)"
