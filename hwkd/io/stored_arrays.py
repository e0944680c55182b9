"""Arrays that a program gives as data: kept as one NPZ file, for processes that read a path."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.choices import Arrays
from hwkd.core.errors import DataError, first_line
from hwkd.io.paths import cache_root, cache_writes, written_atomically

_FOLDER = "arrays"


def named_arrays(given: Arrays) -> dict[str, NDArray[Any]]:
    """Return arrays under the names that an NPZ file has, those of a pair as the train split.

    Args:
        given: anything that NumPy makes arrays of: lists, frames, tensors on the processor.

    Raises:
        DataError: if one holds something else than numbers or texts.
    """
    if isinstance(given, tuple):
        given = dict(zip(("x_train", "y_train"), given, strict=True))
    return {name: plain_array(values, name) for name, values in given.items()}


def path_of_data(given: str | Path | Arrays | None) -> str | Path | None:
    """Return where data lies; arrays are written into the cache, named by their content, first.

    A search is resumed from that file; one that was deleted is written again by the same call.

    Raises:
        DataError: if an array holds something else than numbers or texts.
        ConfigError: if the cache cannot be written.
    """
    if given is None or isinstance(given, str | Path):
        return given
    arrays = named_arrays(given)
    digest = hashlib.sha256()
    for name, values in sorted(arrays.items()):
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(values.data if values.dtype.kind not in "US" else values.tobytes())
    path = cache_root() / _FOLDER / f"arrays-{digest.hexdigest()[:16]}.npz"
    if not path.is_file():
        with cache_writes(path), written_atomically(path) as temporary:
            np.savez(temporary, allow_pickle=False, **arrays)
    return path


def plain_array(values: Any, name: str) -> NDArray[Any]:
    """Return what NumPy makes of values, if that is numbers or texts.

    Args:
        values: an array, a list, a frame, a tensor on the processor.

    Raises:
        DataError: if they are something else.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind in "OT" and all(isinstance(item, str) for item in array.flat):
            array = array.astype(str)  # as data frames have their texts
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"data: {name} is no array ({first_line(error)})") from None
    if array.dtype.kind not in "biufUS":
        raise DataError(
            f"data: {name} has type {array.dtype}; expected numbers, or texts that name classes"
        )
    return np.ascontiguousarray(array)
