"""An array in the cache: its bytes, and beside them what they are and the SHA-256 that proves it.

The bytes have no header of their own: size and type are in the JSON beside them and are checked
before anything is mapped into memory.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from hwkd.core.errors import HwkdError
from hwkd.core.strict_model import StoredInt, StrictModel
from hwkd.io.paths import cache_writes, folder_written_once

_VALUES, _FACTS = "values.bin", "facts.json"
_TYPES = {
    kind.__name__: kind
    for kind in (np.float16, np.float32, np.uint8, np.uint16, np.int16, np.int32, np.int64)
}

_Facts = TypeVar("_Facts", bound="ArrayFacts")


class UnusableEntryError(HwkdError):
    """A cache entry is incomplete or was altered; the message is the reason alone."""


class ArrayFacts(StrictModel):
    """What an entry's bytes are; subclasses add what they belong to.

    Attributes:
        dtype: NumPy's name of the type.
    """

    dtype: str = ""
    shape: tuple[StoredInt, ...] = Field(default=())
    values_sha256: str = ""


def store_array(entry: Path, values: NDArray[Any], facts: ArrayFacts) -> None:
    """Write an entry, whole or not at all; one that another process wrote meanwhile stays.

    Args:
        values: not empty; of a type in `_TYPES`.
        facts: what they belong to; type, shape and digest are filled in here.

    Raises:
        ConfigError: if the cache cannot be written.
    """
    known = {"dtype": values.dtype.name, "shape": values.shape, "values_sha256": _digest(values)}
    with cache_writes(entry), folder_written_once(entry) as folder:
        text = facts.model_copy(update=known).model_dump_json(indent=1)
        (folder / _FACTS).write_text(text, encoding="utf-8")
        with (folder / _VALUES).open("wb") as handle:
            handle.write(np.ascontiguousarray(values).data)


def open_array(entry: Path, kind: type[_Facts]) -> tuple[NDArray[Any], _Facts]:
    """Map an entry's array into memory, read-only, after its bytes were proved.

    Args:
        entry: folder that `store_array` made.

    Raises:
        UnusableEntryError: if a byte is missing or other than it was written.
    """
    try:
        facts = kind.model_validate_json((entry / _FACTS).read_bytes())
        size = (entry / _VALUES).stat().st_size
    except (OSError, ValidationError) as error:
        raise UnusableEntryError(f"{_FACTS} cannot be read ({_reason(error)})") from None
    dtype = _TYPES.get(facts.dtype)
    if dtype is None or not facts.shape or min(facts.shape) < 1:
        raise UnusableEntryError(f"{_FACTS} describes no array that hwkd stores")
    wanted = math.prod(facts.shape) * np.dtype(dtype).itemsize
    if size != wanted:
        raise UnusableEntryError(f"{_VALUES} has {size:,} bytes, expected {wanted:,}")
    values: NDArray[Any] = np.memmap(entry / _VALUES, dtype=dtype, mode="r", shape=facts.shape)
    if _digest(values) != facts.values_sha256:
        raise UnusableEntryError(f"{_VALUES} holds other values than were written")
    return values, facts


def _digest(values: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def _reason(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return error.errors()[0]["msg"]
