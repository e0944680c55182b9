"""Samples that were made, as files: `x_train`, `y_train` in the values of the raw data."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.core.printable import printable
from hwkd.core.teacher_input import TeacherInput
from hwkd.engine.setup.transfer import prepared_inputs, require_same_classes
from hwkd.io.paths import written_atomically
from hwkd.tasks.base import Split, TaskData
from hwkd.tasks.npz import read_arrays
from hwkd.train.teacher_input import seen_input

_INPUTS, _LABELS = "x_train", "y_train"


def with_made(data: TaskData, path: Path) -> TaskData:
    """Return data whose train split is what was made; preprocessing and other splits stay.

    Raises:
        DataError: if the file cannot be read, or holds other shapes, classes or scales.
    """
    arrays = read_arrays(path)
    where = f"--made {path}"
    if not {_INPUTS, _LABELS} <= set(arrays):
        raise DataError(
            f"{where}: holds {printable(', '.join(sorted(arrays))) or 'nothing'}; expected "
            f"{_INPUTS} and {_LABELS}, as hwkd generate writes them"
        )
    require_same_classes(arrays, data, where=where)
    prepared, labels = prepared_inputs(arrays[_INPUTS], data.pipeline, where=where), arrays[_LABELS]
    if labels.shape != (len(prepared),):
        raise DataError(f"{where}: {_LABELS} has shape {labels.shape}, expected [{len(prepared)}]")
    if not data.head.kind.of_classes or labels.dtype.kind not in "iu":
        raise DataError(f"{where}: needs whole numbers of classes on both sides")
    if labels.min() < 0 or labels.max() >= data.num_outputs:
        raise DataError(
            f"{where}: labels {labels.min()} to {labels.max()}; the data has {data.num_outputs} "
            "classes; make samples for these data"
        )
    digest = hashlib.sha256(data.fingerprint.encode())
    digest.update(np.ascontiguousarray(prepared).data)
    digest.update(labels.astype(np.int64).tobytes())
    return replace(
        data,
        train=Split(inputs=prepared, labels=labels.astype(np.int64)),
        fingerprint=digest.hexdigest(),
        notes=(*data.notes, f"the train split was replaced by {len(labels):,} of {path}"),
        validation_from_train=False,
    )


def normalised_range(
    pipeline: PipelineRecord,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the least and the greatest value of normalised inputs, per channel.

    Raises:
        TeacherError: if the preprocessing is more than one normalisation.
    """
    raw = seen_input(TeacherInput(base="raw"), pipeline)
    scale, offset = np.array(raw.scale), np.array(raw.offset)
    ends = ((end - offset) / scale for end in (pipeline.raw_low, pipeline.raw_high))
    shape = (-1, *(1,) * (len(pipeline.raw_shape) - 1))
    low, high = (end.astype(np.float32).reshape(shape) for end in ends)
    return low, high


def write_made(
    path: Path, inputs: NDArray[np.float32], labels: NDArray[np.int64], data: TaskData
) -> None:
    """Write normalised inputs as raw values, so that the file is a data set like any other.

    Raises:
        TeacherError: if the preprocessing is more than one normalisation.
    """
    record = data.pipeline.record()
    raw = seen_input(TeacherInput(base="raw"), record).of_array(inputs)
    dtype = np.dtype(record.raw_dtype)
    whole = np.rint(raw) if dtype.kind in "iu" else raw
    values = np.clip(whole, record.raw_low, record.raw_high).astype(dtype)
    names = np.array(data.class_names)
    with written_atomically(path) as temporary, temporary.open("wb") as out:
        np.savez_compressed(out, x_train=values, y_train=labels, class_names=names)
