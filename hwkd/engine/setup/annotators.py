"""People as a teacher: how many of them chose each class, beside examples in NPZ, CSV or JSONL."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.core.printable import printable
from hwkd.engine.setup.transfer import prepared_inputs, require_same_classes
from hwkd.signals.texts import as_bytes
from hwkd.tasks.base import SPLITS, TaskData
from hwkd.tasks.csv_table import read_csv
from hwkd.tasks.npz import read_arrays
from hwkd.tasks.sources import reading
from hwkd.tasks.text_source import read_texts, votes_of
from hwkd.tasks.text_table import is_table
from hwkd.train.known_rows import KnownRows
from hwkd.train.teacher_answers import AnswersTeacher
from hwkd.train.top_answers import TopAnswers

# A class that nobody chose is not impossible; float16 and a logarithm hold no 0 either.
_LEAST_SHARE = 1e-3
_MOST_VOTES = 1e12


def load_annotators(path: Path, data: TaskData, *, label: str | None = None) -> AnswersTeacher:
    """Open what annotators said as a teacher of the data that it is about.

    Args:
        path: NPZ file with `x_train` and `y_soft_train`, counts or shares of each class, shape
            [n, classes]; likewise for other splits that it brings. Or a table, or JSON lines of
            texts, with a column of labels for each annotator.
        label: those columns, with commas between them.

    Raises:
        DataError: if its inputs are not like those of the data.
        TeacherError: if it has no such arrays or columns, or they are no shares.
    """
    where = f"--teacher {path}"
    if data.texts is not None:
        pairs = _of_texts(path, data, label)
    else:
        pairs = _of_table(path, data, label) if is_table(path) else _of_archive(path, data)
    inputs, shares = [], []
    for given, said in pairs:
        if said.shape != (*given.shape[:1], data.num_outputs):
            raise TeacherError(
                f"{where}: holds shapes {given.shape} and {said.shape}; expected the "
                f"inputs of the data, and [n, {data.num_outputs}]"
            )
        inputs.append(prepared_inputs(given, data.pipeline, where=where))
        shares.append(_shares(said, where=where))
    logits = np.log(np.concatenate(shares))
    digest = hashlib.sha256(logits.tobytes())
    for part in inputs:
        digest.update(np.ascontiguousarray(part).data)
    return AnswersTeacher(
        name=path.name,
        identity=digest.hexdigest(),
        description=f"annotators of {len(logits):,} examples in {path.name}",
        head=data.head,
        answers=TopAnswers.of(logits, None),
        rows=KnownRows(inputs),
    )


def _of_archive(path: Path, data: TaskData) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return inputs and shares of each split that an NPZ file brings."""
    arrays = read_arrays(path)
    pairs = [
        (arrays[f"x_{name}"], arrays[f"y_soft_{name}"])
        for name in SPLITS
        if f"x_{name}" in arrays and f"y_soft_{name}" in arrays
    ]
    if not pairs:
        raise TeacherError(
            f"--teacher {path}: holds {printable(', '.join(sorted(arrays)))}; expected x_train "
            "and y_soft_train, the share of annotators for each class"
        )
    require_same_classes(arrays, data, where=f"--teacher {path}")
    return pairs


def _of_table(
    path: Path, data: TaskData, label: str | None
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return inputs and how many of several columns chose each class of the data."""
    with reading(path, takes="a CSV file with a column of labels for each annotator"):
        table = read_csv(path, of_classes=True, label=label)
    if table.votes is None:
        raise _one_column(path, f"one column of labels, {table.target}")
    counts = table.votes.shares_of(data.class_names, where=f"--teacher {path}")
    return [(table.train.inputs, counts)]


def _of_texts(
    path: Path, data: TaskData, label: str | None
) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return texts of one file, cut as those of the data, and who chose each class."""
    found = read_texts(path, label)["train"]
    votes = votes_of(found)
    if votes is None:
        raise _one_column(path, "one column of labels")
    inputs = as_bytes([each.text for each in found], data.pipeline.raw_shape[-1])
    return [(inputs, votes.shares_of(data.class_names, where=f"--teacher {path}"))]


def _one_column(path: Path, what: str) -> TeacherError:
    return TeacherError(
        f"--teacher {path}: has {what}; name those of several annotators, as --label anna,ben,carla"
    )


def _shares(said: NDArray[Any], *, where: str) -> NDArray[np.float32]:
    """Return counts or shares as shares above 0, shape [n, classes]."""
    if said.dtype.kind not in "iuf":
        raise TeacherError(f"{where}: shares of type {said.dtype}; expected numbers from 0")
    wide = said.astype(np.float64)
    if not np.isfinite(wide).all() or wide.min() < 0 or wide.max() > _MOST_VOTES:
        raise TeacherError(f"{where}: shares must be numbers from 0 to {_MOST_VOTES:g}")
    sums = wide.sum(axis=1, keepdims=True)
    if not (sums > 0).all():
        raise TeacherError(f"{where}: nobody chose a class of an example")
    shares: NDArray[np.float32] = np.maximum(wide / sums, _LEAST_SHARE).astype(np.float32)
    return shares
