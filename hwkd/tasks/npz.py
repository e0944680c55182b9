"""Reads NPZ archives: `x_train, y_train`, and optionally validation, test and `class_names`."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from types import MappingProxyType

import numpy as np

from hwkd.core.errors import DataError, first_line
from hwkd.tasks.base import Layout
from hwkd.tasks.layouts import channels_first, sniff_layout
from hwkd.tasks.raw import RawArray, RawData, RawSplit, class_indices

__all__ = ["read_npz"]

_SUFFIXES = MappingProxyType(
    {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
)


def read_npz(path: Path, *, layout: Layout = "auto") -> RawData:
    """Read an NPZ file; pickled objects in it are refused, never loaded.

    Raises:
        DataError: if it is damaged, holds objects, or lacks x_train or y_train.
    """
    arrays = _arrays(path)
    inputs: dict[str, RawArray] = {}
    labels: dict[str, RawArray] = {}
    for split, suffixes in _SUFFIXES.items():
        x, y = (_first(arrays, [f"{letter}_{end}" for end in suffixes]) for letter in "xy")
        if x is not None and y is not None:
            inputs[split], labels[split] = x, y
        elif x is not None or y is not None or split == "train":
            raise DataError(
                f"{path}: needs both x_{split} and y_{split}, has {', '.join(sorted(arrays))}"
            )
    _check_lengths(inputs, labels, path)
    order = sniff_layout(inputs["train"].shape, where=str(path)) if layout == "auto" else layout
    note = ""
    for split, array in inputs.items():
        inputs[split], note = channels_first(array, order, where=f"{path}: x_{split}")
    names = arrays.get("class_names")
    indices, class_names = class_indices(
        labels,
        source=str(path),
        class_names=None if names is None else tuple(str(name) for name in names.ravel()),
    )
    splits = {name: RawSplit(inputs=inputs[name], labels=indices[name]) for name in inputs}
    return RawData(
        source=str(path),
        class_names=class_names,
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test"),
        notes=(note,),
    )


def _arrays(path: Path) -> dict[str, RawArray]:
    try:
        # numpy leaves a file that it opened itself open when the archive is damaged.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = {}
            for key in archive.files:
                try:
                    arrays[key.lower()] = archive[key]
                except ValueError as error:
                    raise DataError(
                        f"{path}: array {key!r} cannot be read ({first_line(error)}); object "
                        "arrays are refused because loading them runs code: save numbers only"
                    ) from error
            return arrays
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a readable NPZ file ({first_line(error)}); "
            "write it with numpy.savez_compressed"
        ) from error


def _first(arrays: dict[str, RawArray], keys: list[str]) -> RawArray | None:
    return next((arrays[key] for key in keys if key in arrays), None)


def _check_lengths(inputs: dict[str, RawArray], labels: dict[str, RawArray], path: Path) -> None:
    for split, array in inputs.items():
        given, wanted = labels[split].shape, array.shape
        if not given or not wanted or given[0] != wanted[0]:
            raise DataError(
                f"{path}: x_{split} has shape {wanted}, y_{split} {given}; give one label per input"
            )
