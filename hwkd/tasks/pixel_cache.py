"""Decoded pixels of a folder of images, remembered with the notes that decoding made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.io.cached_array import ArrayFacts, UnusableEntryError, open_array, store_array


class _Pixels(ArrayFacts):
    """What decoding had to say."""

    notes: tuple[str, ...]


def store_pixels(entry: Path, pixels: NDArray[Any], notes: list[str]) -> None:
    """Write decoded pixels, shape [n, channels, height, width], and notes for the report.

    Raises:
        ConfigError: if the cache cannot be written.
    """
    store_array(entry, pixels, _Pixels(notes=tuple(notes)))


def remembered_pixels(entry: Path) -> tuple[NDArray[Any], list[str]]:
    """Return the pixels, mapped into memory and proved by their digest, and the notes.

    Raises:
        DataError: if the entry was altered.
    """
    try:
        pixels, facts = open_array(entry, _Pixels)
    except UnusableEntryError as error:
        raise DataError(
            f"{entry}: damaged pixels in the cache: {error}; delete this folder to decode again"
        ) from None
    if pixels.ndim != 4:
        raise DataError(
            f"{entry}: holds {pixels.dtype} {pixels.shape} and no pixels; delete this folder to "
            "decode again"
        )
    return pixels, list(facts.notes)
