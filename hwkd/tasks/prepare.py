"""Raw data -> splits -> normalised arrays with a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.tasks.base import Normalisation, Split, TaskData
from hwkd.tasks.raw import RawArray, RawData, RawSplit
from hwkd.tasks.splits import with_all_splits

__all__ = ["prepare"]

# Part of the fingerprint: raise it when the same raw data would become other inputs.
_PREPROCESSING_VERSION = 2
_CHUNK_EXAMPLES = 2048


def prepare(raw: RawData, *, task: str, split_seed: int) -> TaskData:
    """Split, normalise and fingerprint.

    Args:
        raw: checked data.
        task: name of the task.
        split_seed: seed of the splits that the source does not bring.

    Raises:
        DataError: if a missing split cannot be made or every input is the same.
    """
    data = with_all_splits(raw, split_seed=split_seed)
    if data.validation is None or data.test is None:
        raise ValueError("with_all_splits returned a missing split")
    normalisation, notes = _fit_normalisation(data)
    notes += _notes_on_repeated(data)
    return TaskData(
        name=task,
        source=data.source,
        input_shape=tuple(data.train.inputs.shape[1:]),
        num_outputs=len(data.class_names),
        class_names=data.class_names,
        normalisation=normalisation,
        train=_normalised(data.train, normalisation, f"{data.source}: train"),
        validation=_normalised(data.validation, normalisation, f"{data.source}: validation"),
        test=_normalised(data.test, normalisation, f"{data.source}: test"),
        split_seed=split_seed,
        fingerprint=_fingerprint(data, normalisation, task, split_seed),
        notes=(*data.notes, *notes),
    )


def _fit_normalisation(data: RawData) -> tuple[Normalisation, list[str]]:
    inputs = data.train.inputs
    axes = (0, *range(2, inputs.ndim))
    # Sums about the first chunk's mean: sums of squares about zero lose the digits of data with
    # a large offset.
    shift = inputs[:_CHUNK_EXAMPLES].mean(axis=axes, dtype=np.float64)
    wide_shift = _per_channel(shift, inputs.ndim)
    total, squares = np.zeros_like(shift), np.zeros_like(shift)
    for chunk in _chunks(inputs):
        centred = chunk.astype(np.float64) - wide_shift
        total += centred.sum(axis=axes)
        squares += np.square(centred, out=centred).sum(axis=axes)
    count = inputs.size / inputs.shape[1]
    offset = total / count
    std = np.sqrt(np.maximum(squares / count - np.square(offset), 0.0))
    # Rounding gives a constant channel a deviation of its last digit, which would become noise.
    constant = (inputs.min(axis=axes) == inputs.max(axis=axes)) | (std == 0)
    if constant.all():
        raise DataError(f"{data.source}: every train input has the same values; nothing to learn")
    notes = []
    if constant.any():
        notes.append(f"channels {np.flatnonzero(constant).tolist()} are constant in train")
    low, high = (
        (0, 255)
        if inputs.dtype == np.uint8 and inputs.max() > 127
        else (inputs.min(), inputs.max())
    )
    normalisation = Normalisation(
        mean=tuple((shift + offset).tolist()),
        std=tuple(np.where(constant, 1.0, std).tolist()),
        raw_low=float(low),
        raw_high=float(high),
        raw_dtype=inputs.dtype.name,
    )
    return normalisation, notes


def _normalised(split: RawSplit, normalisation: Normalisation, where: str) -> Split:
    """Subtract and divide in float64: float32 would lose a small signal on a large offset."""
    ndim = split.inputs.ndim
    mean = _per_channel(np.array(normalisation.mean), ndim)
    std = _per_channel(np.array(normalisation.std), ndim)
    inputs = np.empty(split.inputs.shape, dtype=np.float32)
    with np.errstate(over="ignore"):
        for start in range(0, len(inputs), _CHUNK_EXAMPLES):
            rows = slice(start, start + _CHUNK_EXAMPLES)
            centred = split.inputs[rows].astype(np.float64) - mean
            inputs[rows] = np.divide(centred, std, out=centred)
    if not np.isfinite(inputs).all():
        raise DataError(
            f"{where} inputs lie too far from the train inputs to be normalised by their mean and "
            "deviation; bring all splits to one scale"
        )
    return Split(inputs=inputs, labels=split.labels)


def _per_channel(values: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    return values.reshape(1, -1, *(1,) * (ndim - 2))


def _chunks(inputs: RawArray) -> Iterator[RawArray]:
    for start in range(0, len(inputs), _CHUNK_EXAMPLES):
        yield inputs[start : start + _CHUNK_EXAMPLES]


def _notes_on_repeated(data: RawData) -> list[str]:
    """Count examples that two splits share, and equal inputs with unequal labels."""
    notes = []
    seen: dict[str, dict[bytes, int]] = {}
    for name, split in data.given().items():
        digests = [_row_digest(row) for row in split.inputs]
        for earlier, known in seen.items():
            if repeated := sum(digest in known for digest in digests):
                notes.append(
                    f"{repeated:,} {name} examples are equal to a {earlier} example, "
                    "value for value"
                )
        seen[name] = dict(zip(digests, split.labels.tolist(), strict=True))
        disputed = sum(
            seen[name][digest] != label
            for digest, label in zip(digests, split.labels.tolist(), strict=True)
        )
        if disputed:
            notes.append(f"{disputed:,} {name} examples are equal to one of another class")
    return notes


def _row_digest(row: RawArray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(row).data).digest()


def _fingerprint(data: RawData, normalisation: Normalisation, task: str, split_seed: int) -> str:
    header = {
        "version": _PREPROCESSING_VERSION,
        "task": task,
        "classes": data.class_names,
        "split_seed": split_seed,
        "mean": normalisation.mean,
        "std": normalisation.std,
    }
    digest = hashlib.sha256(json.dumps(header).encode())
    for name, split in data.given().items():
        digest.update(f"{name} {split.inputs.dtype.str} {split.inputs.shape}".encode())
        for chunk in _chunks(split.inputs):
            digest.update(np.ascontiguousarray(chunk).data)
        digest.update(split.labels.tobytes())
    return digest.hexdigest()
