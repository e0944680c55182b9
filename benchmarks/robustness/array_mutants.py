"""Damaged files whose container is whole, so that what reads their content meets the damage.

A flipped byte of a ZIP archive is found by its checksum and goes no further. Here an array of an
NPZ or NPY file has another type, shape or value, or the header of a safetensors file or the
description in an ONNX file says something else.
"""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = ("u1", "i1", ">i2", "i8", "u8", "f2", "f4", ">f8", "?", "c8", "S3", "U2", "S1")
_VALUES = (0, -1, 1, 3, 255, 2**31, 2**53, 1e-320, 1e38, 1e300, np.nan, np.inf, -np.inf)


def other_npz(content: bytes, rng: random.Random) -> bytes:
    """Return an NPZ file with one array changed, left out, renamed or put in another's place."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    name, action = rng.choice(sorted(arrays)), rng.random()
    if action < 0.1:
        del arrays[name]
    elif action < 0.15:
        arrays[rng.choice(("", "x\ny", "a/../b", "é\u202e", *arrays)) + "_"] = arrays.pop(name)
    elif action < 0.25:
        arrays[name] = arrays[rng.choice(sorted(arrays))]
    else:
        arrays[name] = other_array(arrays[name], rng)
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def other_npy(content: bytes, rng: random.Random) -> bytes:
    """Return an NPY file of another array."""
    stream = io.BytesIO()
    np.save(stream, other_array(np.load(io.BytesIO(content)), rng), allow_pickle=False)
    return stream.getvalue()


def other_array(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    """Return an array of another type or shape, or with other values somewhere."""
    changed = _CHANGES[rng.randrange(len(_CHANGES))](array, rng)
    return _other_shape(changed, rng) if rng.random() < 0.2 else changed


def _other_kind(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    kind = rng.choice(_KINDS)
    with np.errstate(all="ignore"):
        wide = array.astype(np.int64 if array.dtype.kind in "iub" else np.float64)
        return wide.astype(kind, casting="unsafe")


def _other_shape(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    shapes = (
        array[..., None], array[None], array.reshape(-1), array.T, array[:0], array[:1], array[1:],
        array[..., :0], array.reshape(-1)[:1].reshape(()), np.concatenate([array, array]),
    ) if array.ndim and array.size else (array[None], array.reshape(-1))  # fmt: skip
    return rng.choice(shapes)


def _other_values(array: NDArray[Any], rng: random.Random) -> NDArray[Any]:
    wide = array.astype(np.float64) if array.dtype.kind in "biuf" else np.zeros(array.shape)
    flat = wide.reshape(-1)
    places = slice(None) if rng.random() < 0.5 else slice(0, 1)
    flat[places] = rng.choice(_VALUES)
    if rng.random() < 0.3 and array.dtype.kind in "iu":
        with np.errstate(all="ignore"):
            return wide.astype(array.dtype, casting="unsafe")
    return wide


_CHANGES: tuple[Callable[[NDArray[Any], random.Random], NDArray[Any]], ...] = (
    _other_kind, _other_shape, _other_values,
)  # fmt: skip


def header_of_safetensors(content: bytes) -> tuple[bytes, bytes]:
    """Return the JSON of a safetensors file and what follows."""
    (size,) = struct.unpack("<Q", content[:8])
    return content[8 : 8 + size], content[8 + size :]


def with_header(header: bytes, values: bytes) -> bytes:
    """Return a safetensors file."""
    return struct.pack("<Q", len(header)) + header + values


def with_metadata(content: bytes, change: Callable[[str], str]) -> bytes:
    """Return an ONNX file whose first entry of metadata is changed.

    Raises:
        ValueError: if it has none.
    """
    import onnx

    model = onnx.load_from_string(content)
    if not model.metadata_props:
        raise ValueError("a file without metadata")
    model.metadata_props[0].value = change(model.metadata_props[0].value)
    changed: bytes = model.SerializeToString()
    return changed
