"""Finds out which format a user's data has and reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwkd.core.errors import ConfigError, DataError
from hwkd.core.progress import Progress, silent
from hwkd.tasks.base import Layout
from hwkd.tasks.idx import find_idx_files, read_idx_folder
from hwkd.tasks.image_folder import has_class_folders, read_image_folder
from hwkd.tasks.npz import read_npz
from hwkd.tasks.raw import RawData, RawSplit, checked_raw

__all__ = ["read_digits", "read_source"]

_FORMATS = (
    "a folder of class folders with PNG or JPEG images, IDX files (gzipped or not), "
    "or an NPZ file with x_train and y_train"
)


def read_source(
    path: Path,
    *,
    input_size: tuple[int, int] | None = None,
    layout: Layout = "auto",
    progress: Progress = silent,
) -> RawData:
    """Read a file or folder whose format is found out from its content.

    Args:
        path: what the user gave.
        input_size: (height, width) for image folders; None keeps the most common size.
        layout: order of the axes of arrays.
        progress: told about decoding.

    Raises:
        DataError: if the format is unknown or the content is unusable.
        ConfigError: if an option does not apply to the format.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; --data takes {_FORMATS}")
    if path.is_dir() and not any(path.iterdir()):
        raise DataError(f"{path}: empty folder; --data takes {_FORMATS}")
    try:
        data = _read(path, input_size=input_size, layout=layout, progress=progress)
    except PermissionError as error:
        raise DataError(f"{error.filename}: not readable; change its permissions") from error
    return checked_raw(data)


def read_digits() -> RawData:
    """Return the 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn.

    Source: Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits (test part).
    """
    # Importing scikit-learn takes a second; data of the user's own never needs this reader.
    from sklearn.datasets import load_digits

    digits = load_digits()
    return checked_raw(
        RawData(
            source="handwritten digits of scikit-learn (UCI, 1,797 of 8 x 8)",
            class_names=tuple(str(name) for name in digits.target_names),
            train=RawSplit(
                inputs=digits.images[:, np.newaxis].astype(np.uint8),
                labels=digits.target.astype(np.int64),
            ),
        )
    )


def _read(
    path: Path, *, input_size: tuple[int, int] | None, layout: Layout, progress: Progress
) -> RawData:
    if path.is_dir() and has_class_folders(path):
        _refuse("--layout", layout != "auto", "an image folder")
        return read_image_folder(path, input_size=input_size, progress=progress)
    if find_idx_files(path) and (path.is_dir() or _is_idx(path)):
        _refuse("--input-size", input_size is not None, "IDX files")
        _refuse("--layout", layout != "auto", "IDX files")
        return read_idx_folder(path)
    if path.is_file() and _is_zip(path):
        _refuse("--input-size", input_size is not None, "an NPZ file")
        return read_npz(path, layout=layout)
    kind = "folder" if path.is_dir() else "file"
    raise DataError(f"{path}: unknown format of this {kind}; --data takes {_FORMATS}")


def _refuse(option: str, was_given: bool, what: str) -> None:
    if was_given:
        raise ConfigError(f"{option} does not apply to {what}; leave it out")


def _is_idx(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) in (b"\0\0", b"\x1f\x8b")


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"
