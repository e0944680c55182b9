"""People as a teacher: how many of them chose each class, beside the examples in an NPZ file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from hwkd.core.errors import TeacherError
from hwkd.engine.setup.transfer import as_inputs
from hwkd.tasks.base import SPLITS, TaskData
from hwkd.tasks.npz import read_arrays
from hwkd.train.known_rows import KnownRows
from hwkd.train.teacher_answers import AnswersTeacher
from hwkd.train.top_answers import TopAnswers

# A class that nobody chose is not impossible; float16 and a logarithm hold no 0 either.
_LEAST_SHARE = 1e-3


def load_annotators(path: Path, data: TaskData) -> AnswersTeacher:
    """Open what annotators said as a teacher of the data that it is about.

    Args:
        path: NPZ file with `x_train` and `y_soft_train`, counts or shares of each class, shape
            [n, classes]; likewise for other splits that it brings.

    Raises:
        TeacherError: if it has no such arrays, or they do not fit the data.
    """
    arrays = read_arrays(path)
    pairs = [
        (arrays[f"x_{name}"], arrays[f"y_soft_{name}"])
        for name in SPLITS
        if f"x_{name}" in arrays and f"y_soft_{name}" in arrays
    ]
    if not pairs:
        raise TeacherError(
            f"--teacher {path}: holds {', '.join(sorted(arrays))}; expected x_train and "
            "y_soft_train, the share of annotators for each class"
        )
    inputs, shares = [], []
    for given, said in pairs:
        shaped = as_inputs(given, data.pipeline.raw_shape)
        if shaped is None or said.shape != (len(given), data.num_outputs):
            raise TeacherError(
                f"--teacher {path}: holds shapes {given.shape} and {said.shape}; expected the "
                f"inputs of the data, and [n, {data.num_outputs}]"
            )
        sums = said.sum(axis=1, keepdims=True)
        if said.dtype.kind not in "iuf" or not np.isfinite(said).all() or said.min() < 0:
            raise TeacherError(f"--teacher {path}: shares must be numbers from 0")
        if not (sums > 0).all():
            raise TeacherError(f"--teacher {path}: nobody chose a class of an example")
        inputs.append(data.pipeline.apply(shaped))
        shares.append(np.maximum(said / sums, _LEAST_SHARE).astype(np.float32))
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
