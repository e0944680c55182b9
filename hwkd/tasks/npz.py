"""Reads NPZ archives: `x_train, y_train`, and optionally validation, test and `class_names`."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from hwkd.core.choices import Layout
from hwkd.core.errors import DataError, first_line
from hwkd.core.printable import printable
from hwkd.io.npy import ByteStream, read_npy, read_npy_file
from hwkd.tasks.base import SplitName
from hwkd.tasks.layouts import channels_first, order_of_axes
from hwkd.tasks.raw import LabelReader, RawArray, RawData, RawSplit, class_indices
from hwkd.tasks.split_names import name_words, one_per_split, split_meaning

# A small archive may unpack to this much, a larger one to this many times its size: pictures and
# signals shrink less, only archives made to exhaust memory shrink more.
_ALWAYS_BYTES = 256 * 1024**2
_MOST_RATIO = 200
_INPUT_WORDS = frozenset(
    {
        "x", "input", "inputs", "image", "images", "img", "imgs", "data", "feature", "features",
        "signal", "signals", "sample", "samples", "window", "windows",
    }
)  # fmt: skip
_LABEL_WORDS = frozenset({"y", "label", "labels", "target", "targets", "class", "classes"})
_CLASS_NAMES = frozenset({"class_names", "classnames", "label_names", "target_names"})
# What numpy.savez and numpy.savez_compressed write.
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError,
    LookupError, OverflowError, MemoryError,
)  # fmt: skip
# In the name of an array that teachers see and students do not.
_TEACHERS = "teacher"
_SHOWN = 8


def read_npz(
    path: Path,
    *,
    layout: Layout = "auto",
    read_labels: LabelReader = class_indices,
    half: Literal["student", "teacher"] = "student",
    to_judge: bool = False,
) -> RawData:
    """Read an NPZ file; pickled objects in it are refused, never loaded.

    Memory used is at most three times the arrays, which may be 256 MiB or 200 times the file.

    Args:
        layout: order of the axes of the inputs.
        half: "teacher" reads `teacher_x_train` and so on in place of `x_train`.
        to_judge: nothing is trained on it: a test split alone will do, and is all there is.
        read_labels: turns what is stored under y into labels and names of outputs.

    Raises:
        DataError: if it is damaged, holds objects, lacks x_train or y_train, or brings a split
            twice.
    """
    where = printable(path)
    content = _loaded(path, half, to_judge)
    inputs = {split: content.arrays[key] for split, key in content.inputs.items()}
    labels = {split: content.arrays[key] for split, key in content.labels.items()}
    for split in inputs:
        keys = content.inputs[split], content.labels[split]
        _check_length(inputs[split], labels[split], keys, where)
    order, note = order_of_axes(inputs["train"].shape, layout, where=where)
    names = stated_names(content.arrays)
    indices, class_names = read_labels(labels, source=where, class_names=names)
    splits = {
        split: RawSplit(
            inputs=channels_first(
                values, order, where=f"{where}: {printable(content.inputs[split])}"
            ),
            labels=indices[split],
        )
        for split, values in inputs.items()
    }
    return RawData.of(
        where, splits, class_names=class_names, notes=(note, *_notes_on_names(content))
    )


def read_arrays(path: Path) -> dict[str, RawArray]:
    """Return every array of an NPZ file by its name.

    Raises:
        DataError: if it is damaged or holds objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _arrays(archive, _members(archive, path), path)
    except _DAMAGE as error:
        raise DataError(
            f"{printable(path)}: not a readable NPZ file ({printable(first_line(error))}); "
            "write it with numpy.savez_compressed"
        ) from error


def stated_names(arrays: Mapping[str, RawArray]) -> tuple[str, ...] | None:
    """Return the names of classes that an archive states; None where it states none."""
    key = next((key for key in arrays if key.lower() in _CLASS_NAMES), None)
    return None if key is None else _class_names(arrays[key])


def read_one_array(path: Path, half: Literal["student", "teacher"] = "student") -> RawArray:
    """Read a .npy file, or the one array of an .npz file.

    Args:
        half: of pairs, where the archive has an array `teacher_x` beside that of students.

    Raises:
        DataError: if it is neither, damaged, or an archive of several arrays.
    """
    try:
        if not zipfile.is_zipfile(path):
            if half == "teacher":
                raise DataError(
                    f"{printable(path)}: holds no pairs; --teacher-sees paired needs an NPZ file "
                    "with teacher_x beside x, one for each example"
                )
            return read_npy_file(path)
        with zipfile.ZipFile(path) as archive:
            members = _of_half(_members(archive, path), half, path)
            if len(members) != 1:
                raise DataError(
                    f"{printable(path)}: holds {len(members)} arrays ({_names(members)}), "
                    "expected one of inputs"
                )
            (key,) = members
            return _arrays(archive, members, path)[key]
    except _DAMAGE as error:
        raise DataError(
            f"{printable(path)}: is no .npy or .npz file ({printable(first_line(error))})"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """The arrays of a file, and which of them are what."""

    inputs: dict[SplitName, str]
    labels: dict[SplitName, str]
    names_key: str | None
    arrays: dict[str, RawArray]
    unused: list[str]


def _loaded(path: Path, half: Literal["student", "teacher"], to_judge: bool) -> _Content:
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path)
            inputs = _splits_of(_of_half(members, half, path), _INPUT_WORDS, path)
            labels = _splits_of(members, _LABEL_WORDS, path)
            if to_judge and list(inputs) == list(labels) == ["test"]:
                inputs, labels = {"train": inputs["test"]}, {"train": labels["test"]}
            for split in ("train", "validation", "test"):
                given = (split in inputs) + (split in labels)
                if given == 1 or (split == "train" and not given):
                    raise DataError(
                        f"{printable(path)}: needs both x_{split} and y_{split}, has "
                        f"{_names(members)}; name them so in numpy.savez(path, x_{split}=..., "
                        f"y_{split}=...)"
                    )
            names_key = next((key for key in members if key.lower() in _CLASS_NAMES), None)
            used = [*inputs.values(), *labels.values(), *([names_key] if names_key else [])]
            return _Content(
                inputs=inputs,
                labels=labels,
                names_key=names_key,
                arrays=_arrays(archive, {key: members[key] for key in used}, path),
                unused=[key for key in map(_key, archive.namelist()) if key not in used],
            )
    except _DAMAGE as error:
        raise DataError(
            f"{printable(path)}: not a readable NPZ file ({printable(first_line(error))}); "
            "write it with numpy.savez_compressed"
        ) from error


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if info.filename.endswith(".npy")]
    if not infos:
        raise DataError(
            f"{printable(path)}: a ZIP archive without arrays of NumPy; unpack it and give its "
            "folder"
        )
    counted = Counter(_key(info.filename) for info in infos)
    if doubled := [key for key, count in counted.items() if count > 1]:
        raise DataError(f"{printable(path)}: holds {_names(doubled)} twice; write the file again")
    return {_key(info.filename): info for info in infos}


def _of_half(
    members: dict[str, zipfile.ZipInfo], half: Literal["student", "teacher"], path: Path
) -> dict[str, zipfile.ZipInfo]:
    """Return the arrays by the name that they have for their half; labels are the same."""
    theirs = [key for key in members if _TEACHERS in name_words(key)]
    if half == "student":
        return {key: info for key, info in members.items() if key not in theirs}
    if not theirs:
        raise DataError(
            f"{printable(path)}: holds no pairs ({_names(members)}); --teacher-sees paired needs "
            "an array with teacher_ before its name beside each of inputs, as teacher_x_train "
            "beside x_train"
        )
    return {key: members[key] for key in theirs}


def _key(filename: str) -> str:
    return filename.removesuffix(".npy")


def _splits_of(
    members: dict[str, zipfile.ZipInfo], words: frozenset[str], path: Path
) -> dict[SplitName, str]:
    """Return the array of each split whose name holds one of `words` and a split, nothing else.

    One whose name is such a word alone is the train split, where no other is.
    """
    keys = []
    for key in members:
        rest = [
            word
            for word in name_words(key)
            if split_meaning(word) is None and not word.isdigit() and word != _TEACHERS
        ]
        if split_meaning(key) is not None and len(rest) == 1 and rest[0] in words:
            keys.append(key)
    roles, doubled = one_per_split(keys)
    if doubled:
        raise DataError(
            f"{printable(path)}: {' and '.join(map(printable, doubled[0]))} both bring the "
            f"{roles[doubled[0][0]]} split; keep one"
        )
    found: dict[SplitName, str] = {role: key for key, role in roles.items() if role != "unlabelled"}
    alone = [key for key in members if len(name_words(key)) == 1 and name_words(key)[0] in words]
    if "train" not in found and len(alone) == 1:
        found = {"train": alone[0], **found}
    return found


def _arrays(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], path: Path
) -> dict[str, RawArray]:
    unpacked, packed = sum(info.file_size for info in members.values()), path.stat().st_size
    if unpacked > max(_ALWAYS_BYTES, _MOST_RATIO * packed):
        raise DataError(
            f"{printable(path)}: {packed:,} bytes claim to unpack to {unpacked:,}, more than "
            f"{_MOST_RATIO} times as much; write it with numpy.savez if that is right"
        )
    arrays = {}
    for key, info in members.items():
        if info.compress_type not in _METHODS:
            raise ValueError(f"array {key!r} is compressed by method {info.compress_type}")
        try:
            with archive.open(info) as stream:
                # zipfile types its stream as IO[bytes]; it is a BufferedIOBase.
                arrays[key] = read_npy(cast(ByteStream, stream), available_bytes=info.file_size)
        except _DAMAGE as error:
            raise DataError(
                f"{printable(path)}: array {printable(key)!r} cannot be read "
                f"({printable(first_line(error))}); write the file again"
            ) from error
    return arrays


def _class_names(values: RawArray) -> tuple[str, ...]:
    flat = values.ravel().tolist()
    texts = (v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else str(v) for v in flat)
    return tuple(printable(text) for text in texts)


def _check_length(inputs: RawArray, labels: RawArray, keys: tuple[str, str], where: str) -> None:
    given, wanted = labels.shape, inputs.shape
    if given and wanted and given[0] == wanted[0]:
        return
    elsewhere = [axis for axis, size in enumerate(wanted) if given and size == given[0]]
    hint = f"; axis {elsewhere[0]} has that length, move it to the front" if elsewhere else ""
    raise DataError(
        f"{where}: {printable(keys[0])} has shape {wanted}, {printable(keys[1])} {given}; give "
        f"one label per input along the first axis{hint}"
    )


def _notes_on_names(content: _Content) -> list[str]:
    notes = [
        f"{printable(key)} and {printable(content.labels[split])} are taken as the {split} split"
        for split, key in content.inputs.items()
        if split not in name_words(key)
    ]
    if content.unused:
        notes.append(f"arrays not used: {_names(content.unused)}")
    return notes


def _names(keys: Iterable[str]) -> str:
    names = sorted(map(printable, keys))
    return ", ".join(names[:_SHOWN]) + (f", ... ({len(names)})" if len(names) > _SHOWN else "")
