"""Counts examples that occur twice: within train, in two splits, or with two labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.tasks.base import SplitName
from hwkd.tasks.raw import RawArray, RawData

# Of a digest; two of a hundred thousand examples are alike in these once in 60,000 data sets.
KEY_BYTES = 6


def repeats(data: RawData) -> list[str]:
    """Count examples that splits share or train repeats, and equal ones of unequal labels.

    Inputs are compared by their values. Where two splits are stored in two types, those of the
    finer type are rounded to the coarser one, as writing them in it would have done.
    """
    splits, notes = data.given(), []
    other = "of another class" if data.class_names else "with another target"

    @cache
    def digests(name: SplitName, dtype: np.dtype[Any]) -> list[bytes]:
        return [_digest(row, dtype) for row in splits[name].inputs]

    def disputed(name: SplitName, known: SplitName, pairs: Iterable[tuple[int, int]]) -> int:
        own, theirs = splits[name].labels, splits[known].labels
        return sum(not np.array_equal(own[row], theirs[twin]) for row, twin in pairs)

    names = list(splits)
    for at, name in enumerate(names):
        stored = splits[name].inputs.dtype
        for known in names[:at]:
            shared = _shared_type(stored, splits[known].inputs.dtype)
            twins = _twins(digests(name, shared), digests(known, shared))
            if twins:
                notes.append(
                    f"{len(twins):,} {name} examples are equal to a {known} example, "
                    "value for value"
                )
            if count := disputed(name, known, twins):
                notes.append(f"{count:,} {name} examples are equal to one {other} in {known}")
        own = digests(name, stored)
        if name == "train" and (again := len(own) - len(set(own))):
            notes.append(
                f"{again:,} train examples repeat an earlier train example, value for value"
            )
        twins = [(row, twin) for row, twin in _twins(own, own) if row != twin]
        if count := disputed(name, name, twins):
            notes.append(f"{count:,} {name} examples are equal to one {other}")
    return notes


def row_digests(inputs: RawArray) -> list[bytes]:
    """Return a SHA-256 of each raw example."""
    return [_digest(row, inputs.dtype) for row in inputs]


def content_fingerprint(splits: Iterable[RawArray]) -> str:
    """Return a SHA-256 of raw inputs, whatever their order and in whichever split they are."""
    return fingerprint_of(map(row_digests, splits))


def fingerprint_of(digests: Iterable[list[bytes]]) -> str:
    """Return the same of the digests of each split's examples."""
    rows = sorted(digest for part in digests for digest in part)
    return hashlib.sha256(b"".join(rows)).hexdigest()


def row_keys(digests: list[bytes]) -> NDArray[np.uint8]:
    """Return what examples are known by in other data, uint8, shape [n, KEY_BYTES]."""
    start = b"".join(digest[:KEY_BYTES] for digest in digests)
    return np.frombuffer(start, dtype=np.uint8).reshape(-1, KEY_BYTES)


def _twins(digests: list[bytes], others: list[bytes]) -> list[tuple[int, int]]:
    """Return each row that is among the others, with the last row there that equals it."""
    there = {digest: row for row, digest in enumerate(others)}
    return [(row, there[digest]) for row, digest in enumerate(digests) if digest in there]


def _shared_type(first: np.dtype[Any], second: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which values of two types are compared."""
    if first == second:
        return first
    floats = [dtype for dtype in (first, second) if dtype.kind == "f"]
    coarsest = min(floats, key=lambda dtype: dtype.itemsize, default=np.result_type(first, second))
    return coarsest.newbyteorder("=")


def _digest(row: RawArray, dtype: np.dtype[Any]) -> bytes:
    # What is too large for the coarser type becomes infinite, and equals nothing stored in it.
    with np.errstate(over="ignore"):
        values = row.astype(dtype, order="C", copy=False)
    if dtype.kind == "f":
        values = values + dtype.type(0)  # zero has two signs
    return hashlib.sha256(values.data).digest()
