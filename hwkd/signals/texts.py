"""Words of UTF-8 bytes as hashes, and the bytes of texts; `c/hwkd_text.h` is the same in C.

A word is a run of ASCII letters, digits and bytes from 128 on, which are letters of other scripts;
ASCII capitals count as small letters. A text ends at its first zero.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# FNV-1a of 32 bits.
_BASIS, _PRIME = np.uint32(2166136261), np.uint32(16777619)
_SMALLER = np.uint8(ord("a") - ord("A"))
# Words, and what stands between them but spaces and control characters, each by itself; of small
# letters.
UNITS = re.compile(rb"[0-9a-z\x80-\xff]+|[!-/:-@\[-`{-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words of several texts, in the order of the texts and in each as they come.

    Attributes:
        rows: number of the text of each, shape [words].
        places: how many words of its text come before, shape [words].
        hashes: uint32, shape [words].
    """

    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    hashes: NDArray[np.uint32]


def words_of(texts: NDArray[np.uint8]) -> Words:
    """Return the words of texts of UTF-8 bytes, shape [n, 1, bytes]."""
    # Bytes of one place of all texts lie together.
    small, is_letter = (np.ascontiguousarray(each.T) for each in _letters(texts[:, 0]))
    length, count = small.shape
    hashes, ends = np.full(count, _BASIS), []
    for at in range(length):
        here = is_letter[at]
        hashes = np.where(here, (hashes ^ small[at]) * _PRIME, hashes)
        is_end = here & ~is_letter[at + 1] if at + 1 < length else here
        if is_end.any():
            rows = np.flatnonzero(is_end)
            ends.append((rows, hashes[rows]))
            hashes[rows] = _BASIS
    if not ends:
        nothing = np.empty(0, np.int64)
        return Words(rows=nothing, places=nothing, hashes=np.empty(0, np.uint32))
    rows = np.concatenate([row for row, _ in ends])
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    first = np.searchsorted(rows, rows)
    return Words(
        rows=rows,
        places=np.arange(len(rows)) - first,
        hashes=np.concatenate([found for _, found in ends])[order],
    )


def small_bytes(texts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return bytes with small letters for capitals, 0 from the first zero on, shape [n, bytes].

    Args:
        texts: shape [n, 1, bytes].
    """
    return _letters(texts[:, 0])[0]


def _letters(texts: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    is_text = np.cumprod(texts != 0, axis=1, dtype=np.uint8).astype(np.bool_)
    is_capital = (texts >= ord("A")) & (texts <= ord("Z"))
    small = np.where(is_text, np.where(is_capital, texts + _SMALLER, texts), np.uint8(0))
    is_digit = (small >= ord("0")) & (small <= ord("9"))
    is_letter = (small >= ord("a")) & (small <= ord("z"))
    return small, is_digit | is_letter | (small >= 128)


def as_bytes(texts: Sequence[str], length: int) -> NDArray[np.uint8]:
    """Return texts in UTF-8, zeros behind short ones, long ones cut; shape [n, 1, length]."""
    found = np.zeros((len(texts), 1, length), np.uint8)
    for row, text in zip(found, texts, strict=True):
        coded = text.replace("\0", " ").encode("utf-8")[:length]
        row[0, : len(coded)] = np.frombuffer(coded, np.uint8)
    return found


def as_text(values: NDArray[np.uint8]) -> str:
    """Return the text of bytes; a letter that was cut becomes a replacement character."""
    return values.tobytes().split(b"\0")[0].decode("utf-8", "replace")
