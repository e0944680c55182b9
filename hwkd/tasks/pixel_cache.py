"""Decoded pixels of a folder of images, remembered with the notes that decoding made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.io.cached_array import ArrayFacts, UnusableEntryError, open_array, store_array
from hwkd.io.paths import cache_root, require_writable_cache

# Part of the cache key: raise it when decoding changes.
_DECODER_VERSION = 5


class _Pixels(ArrayFacts):
    """What decoding had to say."""

    notes: tuple[str, ...]


def kept_pixels(
    path: Path,
    files: Iterable[str],
    input_size: tuple[int, int] | None,
    decode: Callable[[], tuple[NDArray[Any], list[str]]],
    *,
    kind: str = "",
) -> tuple[NDArray[Any], list[str]]:
    """Return the pixels of a folder, mapped into memory, and notes; decoded where they are new.

    Args:
        files: whose pixels they are.
        decode: gives pixels, shape [n, channels, height, width], and notes for the report.
        kind: what else than pictures the pixels are; empty for none.

    Raises:
        DataError: if remembered ones were altered.
        ConfigError: if the cache cannot be written.
    """
    entry = _entry(path, files, input_size, kind)
    if not entry.exists():
        require_writable_cache(entry.parent)
        store_pixels(entry, *decode())
    return remembered_pixels(entry)


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


def _entry(path: Path, files: Iterable[str], input_size: tuple[int, int] | None, kind: str) -> Path:
    """Return where the decoded pixels of a folder are remembered.

    The name hashes names, sizes and times of all files, as git's index does; reading them would be
    slow. The data fingerprint is computed from the decoded pixels, so a wrong hit could not go
    unseen by caches that hang on it.
    """
    digest = hashlib.sha256(f"{_DECODER_VERSION} {input_size} {kind}".encode())
    digest.update(os.fsencode(path.resolve()))
    for file in files:
        stat = os.stat(file)  # noqa: PTH116
        inside = os.fsencode(file.removeprefix(os.fspath(path)))
        digest.update(
            b"\0%s\0%d %d %d" % (inside, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        )
    return cache_root() / "pixels" / digest.hexdigest()
