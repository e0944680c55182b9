"""Reads IDX files, gzipped or not: the format of MNIST, Fashion-MNIST and EMNIST.

Format: http://yann.lecun.com/exdb/mnist/, "the IDX file format": two zero bytes, a type code, the
number of axes, each axis as a big-endian 32-bit count, then the values, big-endian.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np

from hwkd.core.errors import DataError
from hwkd.tasks.raw import RawArray, RawData, RawSplit, class_indices

__all__ = ["find_idx_files", "read_idx_array", "read_idx_folder"]

_TYPES = MappingProxyType(
    {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
)
_SPLITS = MappingProxyType(
    {
        "train": "train", "t10k": "test", "test": "test",
        "val": "validation", "valid": "validation", "validation": "validation",
    }
)  # fmt: skip
_NAME = re.compile(
    r"(?P<set>.*?)(?P<split>train|t10k|test|validation|valid|val)[-_.]?"
    r"(?P<what>images|labels)[-_.]idx\d[-_.]ubyte(\.gz)?",
    re.IGNORECASE,
)


def find_idx_files(path: Path) -> dict[tuple[str, str], Path]:
    """Return {(split, "images" or "labels"): file} of the one IDX data set at `path`.

    Args:
        path: a folder, or one file of the set; a folder without IDX names gives an empty mapping.

    Raises:
        DataError: if the folder holds several data sets.
    """
    folder = path if path.is_dir() else path.parent
    matches = [
        (match, file)
        for file in sorted(folder.iterdir())
        if file.is_file() and (match := _NAME.fullmatch(file.name))
    ]
    own = _NAME.fullmatch(path.name) if path.is_file() else None
    sets = {match["set"] for match, _ in matches} if own is None else {own["set"]}
    if len(sets) > 1:
        raise DataError(
            f"{path}: holds {len(sets)} IDX data sets ({', '.join(sorted(sets))}); "
            "give one of the files of the set you mean"
        )
    found: dict[tuple[str, str], Path] = {}
    for match, file in matches:
        if match["set"] in sets:
            found.setdefault((_SPLITS[match["split"].lower()], match["what"].lower()), file)
    return found


def read_idx_folder(path: Path) -> RawData:
    """Read the IDX data set at `path` (a folder or one of its files).

    Raises:
        DataError: if train files are missing or a file is truncated or no IDX file.
    """
    files = find_idx_files(path)
    for what in ("images", "labels"):
        if ("train", what) not in files:
            raise DataError(
                f"{path}: no IDX file of train {what}; expected a name such as "
                f"train-{what}-idx{3 if what == 'images' else 1}-ubyte(.gz)"
            )
    inputs, labels = {}, {}
    for split in ("train", "validation", "test"):
        pair = [files.get((split, what)) for what in ("images", "labels")]
        if pair[0] is None and pair[1] is None:
            continue
        if pair[0] is None or pair[1] is None:
            raise DataError(f"{path}: {split} has images or labels but not both; add the other")
        inputs[split] = _channels_first(read_idx_array(pair[0]), pair[0])
        labels[split] = read_idx_array(pair[1])
    indices, names = class_indices(labels, source=str(path))
    splits = {name: RawSplit(inputs=inputs[name], labels=indices[name]) for name in inputs}
    return RawData(
        source=str(path),
        class_names=names,
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test"),
    )


def read_idx_array(path: Path) -> RawArray:
    """Read one IDX file.

    Raises:
        DataError: if it is no IDX file, or shorter or longer than its header says.
    """
    content = _bytes_of(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise DataError(f"{path}: not an IDX file; expected the bytes 0 0 and a known type first")
    axes = content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(f"{path}: truncated IDX file: the header is cut; fetch it again")
    shape = struct.unpack(f">{axes}I", content[4:start])
    dtype = np.dtype(_TYPES[content[2]])
    expected, got = prod(shape) * dtype.itemsize, len(content) - start
    if expected != got:
        raise DataError(
            f"{path}: truncated IDX file: header {shape} needs {expected:,} bytes of values, "
            f"file has {got:,}; fetch it again"
        )
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _bytes_of(path: Path) -> bytes:
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(
            f"{path}: truncated IDX file: gzip stops early or is damaged ({error}); fetch it again"
        ) from error


def _channels_first(images: RawArray, path: Path) -> RawArray:
    if images.ndim == 3:
        return images[:, np.newaxis]
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    raise DataError(
        f"{path}: images have shape {images.shape}; expected (n, height, width) "
        "or (n, height, width, 1 or 3)"
    )
