"""Raw data -> splits -> normalised arrays with a fingerprint."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.head import Head
from hwkd.core.nature import AXES, Nature
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.signals.features import RAW, Features, FittedFeatures, features_named
from hwkd.signals.pipeline import Pipeline, applied, step_of
from hwkd.signals.step import RowStep, Step, StreamStep, TextStep
from hwkd.signals.steps.cosine import Cosine
from hwkd.signals.steps.delta import Delta
from hwkd.signals.steps.mel import Mel
from hwkd.signals.steps.normalise import Normalise
from hwkd.signals.steps.rfft import RealSpectrum
from hwkd.signals.steps.standardise import Standardise
from hwkd.tasks.base import Split, SplitName, TaskData
from hwkd.tasks.feature_cache import features_of, fitted_to
from hwkd.tasks.motion import copies_like, mirror_that_keeps_class, with_copies
from hwkd.tasks.raw import RawArray, RawData, RawSplit
from hwkd.tasks.repeats import fingerprint_of, repeats, row_digests, row_keys
from hwkd.tasks.split_differences import require_like_scaling
from hwkd.tasks.splits import with_all_splits
from hwkd.tasks.uneven import uneven_classes

# Part of the fingerprint: raise it when the same raw data would become other inputs.
_PREPROCESSING_VERSION = 2
# What a task was called when its data was first given fingerprints.
_FIRST_TASKS = {"classify": "image"}
_CHUNK_EXAMPLES = 2048


def prepare(
    raw: RawData,
    head: Head,
    reading: Reading = AS_USUAL,
    *,
    task: str,
    split_seed: int,
    nature: Nature = "values",
    progress: Progress = silent,
) -> TaskData:
    """Split, compute features, normalise and fingerprint.

    Args:
        raw: checked data; labels as the head has them.
        reading: its features are computed before the network, None is none; its scaling of them is
            that of another data set, None is fitted to train.
        split_seed: seed of the splits that the source does not bring.
        nature: of the raw inputs; what is known of features is not asked for.
        progress: told how far the features are.

    Raises:
        DataError: if a missing split cannot be made or every input is the same.
        ConfigError: if the features do not fit the raw data.
    """
    given = with_all_splits(raw, split_seed=split_seed)
    shape, recipe = tuple(given.train.inputs.shape[1:]), features_named(reading.features or RAW)
    front = _front(recipe, given, reading, progress)
    is_whole = bool(front) or _is_of_a_sensor(given)
    digests = _digests(given)
    content = fingerprint_of(digests.values())
    turned = _is_turned_before(front, shape, nature)
    data, copies = _with_copies(given, split_seed) if turned else (given, None)
    digests = _digests(data) if turned else digests
    extracted = _extracted(data, front, progress, is_whole=is_whole)
    nature = _nature(front, shape, nature, channels=extracted.train.inputs.shape[1])
    scaled, on_scaling = _scaling(extracted, front, nature, reading, is_whole=is_whole)
    ends = (scaled, *recipe.after(shape))
    pipeline = _pipeline(data.train.inputs, (*front, *ends))
    more = [] if copies is None else [("copies", _extracted_split(copies, front))]
    splits = _finished([*extracted.given().items(), *more], ends, data, nature)
    return TaskData(
        name=task, source=data.source,
        input_shape=tuple(splits["train"].inputs.shape[1:]),
        head=head,
        pipeline=pipeline,
        train=splits["train"], validation=splits["validation"], test=splits["test"],
        split_seed=split_seed,
        fingerprint=_fingerprint(data, head, pipeline, task=task, split_seed=split_seed),
        content_fingerprint=content,
        notes=(*data.notes, *on_scaling, *repeats(given), *uneven_classes(data, head, reading)),
        validation_from_train=data.validation_from_train,
        validation_copies=splits.get("copies"),
        raw_test=data.given()["test"].inputs,
        sample_rate_hz=data.sample_rate_hz,
        groups=data.groups, grouped_by=data.grouped_by,
        texts=_inputs(data) if pipeline.is_text else None,
        features=reading.features or RAW,
        row_keys={name: row_keys(each) for name, each in digests.items()},
    )  # fmt: skip


def _is_of_a_sensor(data: RawData) -> bool:
    """Tell whether samples are as a sensor gives them: they stay integers in firmware."""
    return data.sample_rate_hz is not None and data.train.inputs.dtype == np.int16


def _finished(
    parts: Iterable[tuple[str, RawSplit]], ends: tuple[Step, ...], data: RawData, nature: Nature
) -> dict[str, Split]:
    """Return parts as networks read them.

    Args:
        parts: names and features.
        ends: steps that are left.
        data: raw.
    """
    signs = _mirror_signs(data.train) if nature == "motion" else ()
    found = {name: _applied(each, ends, f"{data.source}: {name}") for name, each in parts}
    return {name: replace(each, nature=nature, mirror_signs=signs) for name, each in found.items()}


def _with_copies(data: RawData, seed: int) -> tuple[RawData, RawSplit | None]:
    """Return data whose train split also holds motion that is turned, faster or slower.

    And such copies of validation alone, where what ships may learn from it in the end.
    """
    train, note = with_copies(data.train, seed=seed)
    held_back = data.validation if data.validation_from_train else None
    copies = None if held_back is None else copies_like(data.train, held_back, seed=seed)
    return replace(data, train=train, notes=(*data.notes, *filter(None, [note]))), copies


def _inputs(data: RawData) -> dict[SplitName, RawArray]:
    return {name: split.inputs for name, split in data.given().items()}


def _digests(data: RawData) -> dict[SplitName, list[bytes]]:
    return {name: row_digests(inputs) for name, inputs in _inputs(data).items()}


def _front(
    recipe: Features, data: RawData, reading: Reading, progress: Progress
) -> tuple[Step, ...]:
    """Return the steps before the scaling: of a student that goes on its own, else new ones."""
    if reading.fitted:
        return tuple(map(step_of, reading.fitted))
    if isinstance(recipe, FittedFeatures):
        train, name = data.train, reading.features or RAW
        return fitted_to(recipe, name, train.inputs, train.labels, progress)
    return recipe.steps(tuple(data.train.inputs.shape[1:]), data.sample_rate_hz)


def _are_texts(front: tuple[Step, ...]) -> bool:
    return any(isinstance(step, TextStep) for step in front)


def _name_what_is_looked_up(front: tuple[Step, ...]) -> bool:
    return any(isinstance(step, TextStep) and step.are_numbers for step in front)


def _as_they_are(data: RawData) -> Step:
    channels = data.train.inputs.shape[1]
    return Standardise.of((0.0,) * channels, (1.0,) * channels)


def _about_zero(
    moments: tuple[tuple[float, ...], tuple[float, ...]],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean 0 and the root mean square: what a text does not have stays 0."""
    mean, deviation = moments
    return (0.0,) * len(mean), tuple(map(math.hypot, mean, deviation))


def _of_sensors(
    moments: tuple[tuple[float, ...], tuple[float, ...]],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean 0 and one root mean square for the axes of each sensor: vectors stay vectors."""
    squares = np.square(moments).sum(axis=0).reshape(-1, AXES).mean(axis=1)
    mean = (0.0,) * (AXES * len(squares))
    return mean, tuple(np.repeat(np.sqrt(squares), AXES).tolist())


def _mirror_signs(train: RawSplit) -> tuple[float, ...]:
    signs = mirror_that_keeps_class(train)
    return () if signs is None else tuple(signs.tolist())


def _is_turned_before(front: tuple[Step, ...], shape: tuple[int, ...], raw: Nature) -> bool:
    """Tell whether motion is varied before its features; as samples it is while it is learned."""
    are_axes = raw == "motion" and shape[0] % AXES == 0
    return are_axes and any(isinstance(step, RowStep) for step in front)


def _scaling(
    data: RawData, front: tuple[Step, ...], nature: Nature, reading: Reading, *, is_whole: bool
) -> tuple[Step, list[str]]:
    """Return the step that takes off means and divides by deviations, or that given, and notes.

    Numbers that are looked up in a table stay as they are.

    Raises:
        DataError: if the given one does not suit the data.
    """
    if _name_what_is_looked_up(front):
        return _as_they_are(data), []
    moments, notes = _moments(data)
    alike = {"text": _about_zero, "motion": _of_sensors}.get(nature)
    moments = moments if alike is None else alike(moments)
    if reading.scaling is None:
        return (Standardise.of if is_whole else Normalise.of)(*moments), notes
    given = step_of(reading.scaling)
    require_like_scaling(moments[1], given, where=f"--data {data.source}")
    return given, notes


def _nature(
    front: tuple[Step, ...], shape: tuple[int, ...], raw: Nature, *, channels: int
) -> Nature:
    """Return what the network reads: spectra, motion along axes as it was sampled, ..."""
    if _are_texts(front):
        return "text"
    if any(isinstance(step, RealSpectrum) for step in front):
        are_filters = any(isinstance(step, Mel) for step in front)
        is_folded = any(isinstance(step, (Cosine, Delta)) for step in front)
        return "speech" if raw == "speech" and are_filters and not is_folded else "spectra"
    are_axes = shape[0] % AXES == 0 and all(isinstance(step, StreamStep) for step in front)
    are_axes = are_axes and channels == shape[0]  # without lengths of vectors beside them
    is_other = raw == "speech" or (raw == "motion" and not are_axes)
    return "values" if is_other else raw


def _extracted(
    data: RawData, front: tuple[Step, ...], progress: Progress, *, is_whole: bool
) -> RawData:
    """Return the data with features for raw values, where there are steps that compute some.

    Raises:
        DataError: if samples are needed that are whole numbers of 16 bits and are not.
    """
    if is_whole and data.train.inputs.dtype != (np.uint8 if _are_texts(front) else np.int16):
        raise DataError(
            f"{data.source}: holds {data.train.inputs.dtype}; features are computed from int16 "
            "samples, as sensors give them; scale the recordings and store them so"
        )
    if not front:
        return data

    given = {name: _extracted_split(split, front, progress) for name, split in data.given().items()}
    return replace(data, train=given["train"], validation=given["validation"], test=given["test"])


def _extracted_split(
    split: RawSplit, front: tuple[Step, ...], progress: Progress = silent
) -> RawSplit:
    return replace(split, inputs=features_of(front, split.inputs, progress))


def _pipeline(inputs: RawArray, steps: tuple[Step, ...]) -> Pipeline:
    """Return the steps with what raw inputs of train are like."""
    low, high = (
        (0, 255)
        if inputs.dtype == np.uint8 and inputs.max() > 127
        else (inputs.min(), inputs.max())
    )
    return Pipeline(
        steps=steps,
        raw_shape=tuple(inputs.shape[1:]),
        raw_low=float(low),
        raw_high=float(high),
        raw_dtype=inputs.dtype.name,
    )


def _moments(data: RawData) -> tuple[tuple[tuple[float, ...], tuple[float, ...]], list[str]]:
    """Return mean and deviation of each channel of train, 1 of one that is constant, and notes."""
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
    if constant.all() and inputs.min() != inputs.max():
        raise DataError(
            f"{data.source}: train inputs differ by less than float64 resolves beside their size, "
            f"{float(inputs.max()):.3g}; subtract an offset before they are stored"
        )
    if constant.all():
        raise DataError(f"{data.source}: every train input has the same values; nothing to learn")
    notes = []
    if constant.any():
        notes.append(f"channels {np.flatnonzero(constant).tolist()} are constant in train")
    mean, spread = (shift + offset).tolist(), np.where(constant, 1.0, std).tolist()
    return (tuple(mean), tuple(spread)), notes


def _applied(split: RawSplit, steps: tuple[Step, ...], where: str) -> Split:
    inputs = applied(steps, split.inputs)
    if not np.isfinite(inputs).all():
        raise DataError(
            f"{where} inputs lie too far from the train inputs to be normalised by their mean and "
            "deviation; bring all splits to one scale"
        )
    return Split(inputs=inputs, labels=split.labels, wholes=split.wholes)


def _per_channel(values: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    return values.reshape(1, -1, *(1,) * (ndim - 2))


def _chunks(inputs: RawArray) -> Iterator[RawArray]:
    for start in range(0, len(inputs), _CHUNK_EXAMPLES):
        yield inputs[start : start + _CHUNK_EXAMPLES]


def _header(head: Head, pipeline: Pipeline, *, task: str, split_seed: int) -> dict[str, object]:
    """Return what makes the same raw data other data for a network."""
    steps = pipeline.steps
    if head.kind.of_classes and len(steps) == 1 and isinstance(steps[0], Normalise):
        # As it was before there were other heads and steps, in this order, so that runs, teachers
        # and pixels of that time go on being those of this data.
        return {
            "version": _PREPROCESSING_VERSION,
            "task": _FIRST_TASKS.get(task, task),
            "classes": head.names,
            "split_seed": split_seed,
            "mean": steps[0].mean,
            "std": steps[0].std,
        }
    return {
        "version": _PREPROCESSING_VERSION,
        "split_seed": split_seed,
        "task": task,
        "outputs": (head.kind.name, head.names),
        "pipeline": pipeline.fingerprint,
    }


def _fingerprint(
    data: RawData, head: Head, pipeline: Pipeline, *, task: str, split_seed: int
) -> str:
    header = _header(head, pipeline, task=task, split_seed=split_seed)
    digest = hashlib.sha256(json.dumps(header).encode())
    for name, split in data.given().items():
        digest.update(f"{name} {split.inputs.dtype.str} {split.inputs.shape}".encode())
        for chunk in _chunks(split.inputs):
            digest.update(np.ascontiguousarray(chunk).data)
        digest.update(np.ascontiguousarray(split.labels).data)
    return digest.hexdigest()
