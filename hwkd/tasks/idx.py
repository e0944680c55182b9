"""Reads IDX files, gzipped or not: the format of MNIST, Fashion-MNIST and EMNIST.

Format: http://yann.lecun.com/exdb/mnist/, "the IDX file format": two zero bytes, a type code, the
number of axes, each axis as a big-endian 32-bit count, then the values, big-endian.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np

from hwkd.core.errors import DataError, first_line
from hwkd.core.printable import printable
from hwkd.tasks.base import SplitName
from hwkd.tasks.folder_tree import first_names
from hwkd.tasks.raw import RawArray, RawData, RawSplit, class_indices, with_train
from hwkd.tasks.split_names import SplitRole, split_meaning

_TYPES = MappingProxyType(
    {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
)
_NAME = re.compile(
    r"(?P<set>.*?)(?P<split>train|t10k|test|validation|valid|val|dev)[-_.]?"
    r"(?P<what>images|labels)[-_.]idx\d[-_.]ubyte(\.gz)?",
    re.IGNORECASE,
)
# An archive of pictures or labels may unpack to this much, a larger one to this many times its
# size; label files in the order of their classes shrink most, and they are small.
_ALWAYS_BYTES = 256 * 1024**2
_MOST_RATIO = 200
_MOST_AXES = 4
# Folders that hold a set below the one that people name: `MNIST/raw`, `data/MNIST/raw`.
_DEEPEST = 3
_MOST_FOLDERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class IdxFiles:
    """The files of one IDX data set.

    Attributes:
        used: {(split, "images" or "labels"): file}.
        unused: files that bring the same part once more, for example unpacked beside packed.
        others: names of files beside them that are none of the set's.
    """

    used: dict[tuple[SplitRole, str], Path] = field(default_factory=dict)
    unused: tuple[Path, ...] = ()
    others: tuple[str, ...] = ()


def find_idx_files(path: Path) -> IdxFiles:
    """Return the one IDX data set at `path`, or no files when there is none.

    Unpacked archives count, where `train-images-idx3-ubyte` is a folder with the file of that
    name in it.

    Raises:
        DataError: if the folder holds several data sets.
    """
    folder = path if path.is_dir() else path.parent
    own = _NAME.fullmatch(path.name) if path.is_file() else None
    if own is not None and _NAME.fullmatch(folder.name):
        folder = folder.parent
    matches = list(_matches(folder))
    sets = {match["set"] for match, _ in matches} if own is None else {own["set"]}
    if len(sets) > 1:
        raise DataError(
            f"{printable(path)}: holds {len(sets)} IDX data sets "
            f"({', '.join(sorted(map(printable, sets)))}); give one of the files of the set you "
            "mean"
        )
    if own is not None:
        # The file that was named comes before another copy of it.
        matches.sort(key=lambda found: found[1] != path)
    used: dict[tuple[SplitRole, str], Path] = {}
    unused = []
    for match, file in matches:
        meaning = split_meaning(match["split"])
        if match["set"] in sets and meaning is not None:
            part = (meaning.role, match["what"].lower())
            if used.setdefault(part, file) != file:
                unused.append(file)
    known = {file.name for _, file in matches}
    others = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_file() and entry.name not in known and not entry.name.startswith(".")
    )
    return IdxFiles(used=used, unused=tuple(unused), others=tuple(others))


def folder_with_idx_files(path: Path) -> Path | None:
    """Return `path` or the folder below it that holds IDX files; None when there is none.

    Raises:
        DataError: if several folders below hold IDX files.
    """
    level = [path]
    for _ in range(_DEEPEST):
        found = [folder for folder in level if next(_matches(folder), None) is not None]
        if len(found) > 1:
            raise DataError(
                f"{printable(path)}: {' and '.join(map(printable, found[:4]))} hold IDX files; "
                "give the one you mean"
            )
        if found:
            return found[0]
        level = [
            child
            for folder in level
            for child in sorted(folder.iterdir())
            if child.is_dir() and not child.is_symlink() and not child.name.startswith(".")
        ][:_MOST_FOLDERS]
    return None


def _matches(folder: Path) -> Iterator[tuple[re.Match[str], Path]]:
    """Yield files of IDX names: directly in `folder` first, then in folders of IDX names."""
    entries = sorted(folder.iterdir())
    for entry in entries:
        if entry.is_file() and (match := _NAME.fullmatch(entry.name)):
            yield match, entry
    for entry in entries:
        if _NAME.fullmatch(entry.name) and entry.is_dir():
            for file in sorted(entry.iterdir()):
                if file.is_file() and (match := _NAME.fullmatch(file.name)):
                    yield match, file


def read_idx_folder(path: Path, *, to_judge: bool = False) -> RawData:
    """Read the IDX data set at `path` (a folder or one of its files).

    Args:
        path: of the folder or the file.
        to_judge: see `with_train`.

    Raises:
        DataError: if train files are missing or a file is truncated or no IDX file.
    """
    where = printable(path)
    found = find_idx_files(path)
    files = found.used
    has_none = to_judge and not any(split == "train" for split, _ in files)
    for what in ("images", "labels"):
        if ("train", what) not in files and not has_none:
            raise DataError(
                f"{where}: no IDX file of train {what}; expected a name such as "
                f"train-{what}-idx{3 if what == 'images' else 1}-ubyte(.gz)"
            )
    inputs: dict[SplitName, RawArray] = {}
    labels: dict[SplitName, RawArray] = {}
    splits_read: tuple[SplitName, ...] = ("train", "validation", "test")
    for split in splits_read:
        pair = [files.get((split, what)) for what in ("images", "labels")]
        if pair[0] is None and pair[1] is None:
            continue
        if pair[0] is None or pair[1] is None:
            raise DataError(f"{where}: {split} has images or labels but not both; add the other")
        inputs[split] = _channels_first(read_idx_array(pair[0]), pair[0])
        labels[split] = read_idx_array(pair[1])
    inputs, labels = (
        with_train(arrays, source=where, to_judge=to_judge) for arrays in (inputs, labels)
    )
    indices, names = class_indices(labels, source=where)
    splits = {name: RawSplit(inputs=inputs[name], labels=indices[name]) for name in inputs}
    notes = []
    if found.unused:
        notes.append(
            "files not used, another one brings the same part: "
            f"{', '.join(printable(_inside(file, path)) for file in found.unused)}"
        )
    if found.others and path.is_dir():
        notes.append(f"files beside the IDX files are not read: {first_names(list(found.others))}")
    return RawData.of(where, splits, class_names=names, notes=notes)


def read_idx_array(path: Path) -> RawArray:
    """Read one IDX file.

    Memory used is at most twice the values, which may be 256 MiB or 200 times a gzipped file.

    Raises:
        DataError: if it is no IDX file, or shorter or longer than its header says.
    """
    where = printable(path)
    packed_bytes = path.stat().st_size
    with path.open("rb") as stream:
        is_packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        if not is_packed:
            return _read(stream, where, most_bytes=packed_bytes)
        try:
            with gzip.GzipFile(fileobj=stream) as unpacked:
                most_bytes = max(_ALWAYS_BYTES, _MOST_RATIO * packed_bytes)
                return _read(unpacked, where, most_bytes=most_bytes)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(
                f"{where}: truncated IDX file: gzip stops early or is damaged "
                f"({printable(first_line(error))}); fetch it again"
            ) from error


def _read(stream: BinaryIO | gzip.GzipFile, where: str, *, most_bytes: int) -> RawArray:
    start = stream.read(4)
    if not start:
        raise DataError(f"{where}: empty, 0 bytes; fetch it again")
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES:
        raise DataError(f"{where}: not an IDX file; expected the bytes 0 0 and a known type first")
    axes = start[3]
    if not 1 <= axes <= _MOST_AXES:
        raise DataError(f"{where}: {axes} axes; images have 3 or 4, labels have 1")
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise DataError(f"{where}: truncated IDX file: the header is cut; fetch it again")
    shape = struct.unpack(f">{axes}I", sizes)
    dtype = np.dtype(_TYPES[start[2]])
    expected = prod(shape) * dtype.itemsize
    if not expected:
        raise DataError(f"{where}: header {shape} holds no values; fetch it again")
    if expected > most_bytes:
        raise DataError(
            f"{where}: truncated IDX file: header {shape} claims {expected:,} bytes of values, a "
            f"file of this size holds at most {most_bytes:,}; fetch it again"
        )
    # One byte more shows whether the file goes on.
    content = stream.read(expected + 1)
    if len(content) != expected:
        is_longer = len(content) > expected
        raise DataError(
            f"{where}: {'damaged' if is_longer else 'truncated'} IDX file: header {shape} needs "
            f"{expected:,} bytes of values, file has "
            f"{'more' if is_longer else f'{len(content):,}'}; fetch it again"
        )
    values = np.frombuffer(content, dtype).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _inside(file: Path, path: Path) -> Path:
    folder = path if path.is_dir() else path.parent
    return file.relative_to(folder) if file.is_relative_to(folder) else file


def _channels_first(images: RawArray, path: Path) -> RawArray:
    if images.ndim == 3:
        return images[:, np.newaxis]
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    raise DataError(
        f"{printable(path)}: images have shape {images.shape}; expected (n, height, width) "
        "or (n, height, width, 1 or 3)"
    )
