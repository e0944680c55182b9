"""Finds out which format a user's data has and reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from hwkd.core.choices import Layout
from hwkd.core.errors import ConfigError, DataError, first_line
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.tasks.checks import checked_raw
from hwkd.tasks.csv_table import read_csv
from hwkd.tasks.folder_tree import PICTURE_SUFFIXES, holds_picture
from hwkd.tasks.idx import find_idx_files, folder_with_idx_files, read_idx_folder
from hwkd.tasks.image_folder import read_image_folder
from hwkd.tasks.npz import read_npz
from hwkd.tasks.raw import RawData, RawSplit, class_indices
from hwkd.tasks.text_table import is_table

_FORMATS = (
    "a folder of class folders with PNG or JPEG images, IDX files (gzipped or not), an NPZ file "
    "with x_train and y_train, or a CSV file with a heading, the class in its last column"
)


def read_source(
    path: Path,
    *,
    input_size: tuple[int, int] | None = None,
    layout: Layout = "auto",
    label: str | None = None,
    half: Literal["student", "teacher"] = "student",
    to_judge: bool = False,
    progress: Progress = silent,
) -> RawData:
    """Read a file or folder whose format is found out from its content.

    Args:
        input_size: (height, width) for image folders; None keeps the most common size.
        layout: order of the axes of arrays.
        half: of pairs; "teacher" is what a teacher alone sees.
        to_judge: nothing is learned from it: a test split alone will do.

    Raises:
        DataError: if the format is unknown or the content is unusable.
        ConfigError: if an option does not apply to the format.
    """
    with reading(path, takes=_FORMATS):
        if is_table(path):
            _refuse("--input-size", input_size is not None, "a CSV file")
            _refuse("--layout", layout not in ("auto", "nf"), "a CSV file")
            data = _classes_of_table(path, label)
        elif half == "teacher":
            if not (path.is_file() and is_zip(path)):
                raise DataError(
                    f"{printable(path)}: holds no pairs; they are two arrays of an NPZ file, "
                    "x_train for students and teacher_x_train for their teacher"
                )
            data = read_npz(path, layout=layout, half=half)
        else:
            _refuse("--label", label is not None, "data that is no CSV file")
            data = _read(path, input_size, layout, to_judge, progress=progress)
    return checked_raw(data)


@contextmanager
def reading(path: Path, *, takes: str) -> Iterator[None]:
    """Turn what goes wrong while a source is read into one line.

    Args:
        takes: formats of the task, for the message.

    Raises:
        DataError: if nothing is there, or it cannot be read.
    """
    where = printable(path)
    try:
        if not path.exists():
            raise DataError(f"{where}: no such file or folder; --data takes {takes}")
        if path.is_dir() and not any(path.iterdir()):
            raise DataError(f"{where}: empty folder; --data takes {takes}")
        yield
    except PermissionError as error:
        raise DataError(
            f"{printable(error.filename or path)}: not readable; change its permissions"
        ) from error
    except OSError as error:
        # A name that is too long, a disk that fails, a file that went away meanwhile.
        raise DataError(
            f"{printable(error.filename or path)}: cannot be read "
            f"({error.strerror or first_line(error)})"
        ) from error


@contextmanager
def reading_folder(path: Path, *, takes: str) -> Iterator[None]:
    """Do what `reading` does, for a task that takes no single file.

    Raises:
        DataError: as there, or if it is one.
    """
    with reading(path, takes=takes):
        if not path.is_dir():
            raise DataError(f"{printable(path)}: a file; --data takes {takes}")
        yield


def is_image_folder(path: Path) -> bool:
    """Tell whether `path` is read as a folder of class folders.

    Folders that lie beside IDX files (`raw`, `__pycache__`, unpacked archives) make none.
    """
    if not path.is_dir() or find_idx_files(path).used:
        return False
    has_folders = any(entry.is_dir() for entry in path.iterdir())
    return has_folders and (holds_picture(path) or folder_with_idx_files(path) is None)


def read_digits() -> RawData:
    """Return the 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn.

    Source: Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits (test part).
    """
    # Its file is read without importing scikit-learn, which takes a second in every process.
    package = find_spec("sklearn")
    if package is None or package.origin is None:
        raise DataError("scikit-learn, which brings the digits, is not installed")
    table = np.loadtxt(
        Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz",
        delimiter=",",
        dtype=np.int64,
    )
    return checked_raw(
        RawData(
            source="handwritten digits of scikit-learn (UCI, 1,797 of 8 x 8)",
            class_names=tuple("0123456789"),
            train=RawSplit(
                inputs=table[:, :-1].reshape(-1, 1, 8, 8).astype(np.uint8), labels=table[:, -1]
            ),
        )
    )


def _read(
    path: Path,
    input_size: tuple[int, int] | None,
    layout: Layout,
    to_judge: bool,
    *,
    progress: Progress,
) -> RawData:
    if is_image_folder(path):
        _refuse("--layout", layout != "auto", "an image folder")
        return read_image_folder(path, input_size=input_size, to_judge=to_judge, progress=progress)
    idx = folder_with_idx_files(path) if path.is_dir() else path if _is_idx(path) else None
    if idx is not None:
        _refuse("--input-size", input_size is not None, "IDX files")
        _refuse("--layout", layout != "auto", "IDX files")
        return _with_unused_folders(read_idx_folder(idx, to_judge=to_judge), idx)
    if path.is_file() and is_zip(path):
        _refuse("--input-size", input_size is not None, "an NPZ file")
        return read_npz(path, layout=layout, to_judge=to_judge)
    if path.is_dir() and (count := sum(map(_is_picture, path.iterdir()))):
        raise DataError(
            f"{printable(path)}: {count:,} pictures lie directly in this folder, so none has a "
            f"class; expected one folder per class, for example {printable(path.name)}/cat/1.png"
        )
    if path.is_file() and not path.stat().st_size:
        raise DataError(f"{printable(path)}: an empty file of 0 bytes; --data takes {_FORMATS}")
    if path.suffix.lower() == ".npy":
        raise DataError(
            f"{printable(path)}: one array without labels; save both in one file: "
            "numpy.savez(path, x_train=inputs, y_train=labels)"
        )
    kind = "folder" if path.is_dir() else "file"
    raise DataError(f"{printable(path)}: unknown format of this {kind}; --data takes {_FORMATS}")


def _classes_of_table(path: Path, label: str | None) -> RawData:
    table = read_csv(path, of_classes=True, label=label)
    indices, names = class_indices({"train": table.train.labels}, source=table.source)
    return RawData(
        source=table.source,
        class_names=names,
        train=replace(table.train, labels=indices["train"]),
        notes=table.notes,
    )


def _with_unused_folders(data: RawData, path: Path) -> RawData:
    folders = [entry for entry in sorted(path.iterdir()) if entry.is_dir()] if path.is_dir() else []
    unused = [printable(folder.name) for folder in folders if holds_picture(folder)]
    if not unused:
        return data
    note = f"IDX files are read; folders of pictures beside them are not: {', '.join(unused)}"
    return replace(data, notes=(*data.notes, note))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def _refuse(option: str, was_given: bool, what: str) -> None:
    if was_given:
        raise ConfigError(f"{option} does not apply to {what}; leave it out")


def _is_idx(path: Path) -> bool:
    if not path.is_file() or not find_idx_files(path).used:
        return False
    with path.open("rb") as stream:
        return stream.read(2) in (b"\0\0", b"\x1f\x8b")


def is_zip(path: Path) -> bool:
    """Tell whether a file begins as a ZIP archive does, which NPZ files are."""
    with path.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
