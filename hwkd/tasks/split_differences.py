"""Compares the splits that a source brings: their types and scales must be those of train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.step import Step
from hwkd.signals.steps.normalise import Normalise
from hwkd.signals.steps.standardise import Standardise
from hwkd.tasks.raw import RawArray, RawData

# Data sets that people split differ by some tens of per cent; pictures divided by 255 or volts
# beside millivolts differ by more than this.
_REFUSED_RATIO = 50.0
_NOTED_RATIO = 3.0
# In standard deviations of train.
_NOTED_SHIFT = 1.0
_SAMPLE_EXAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Of a sample, per channel."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}"


def differences(data: RawData) -> list[str]:
    """Return notes, with numbers, on splits whose type or scale differs from train's.

    Up to 1,000 examples of each split, evenly spread, are compared.

    Raises:
        DataError: if a split's values spread 50 times more or less than train's: a network judged
            by it would be judged by noise.
    """
    train = _scale(data.train.inputs)
    notes = []
    for name, split in data.given().items():
        if name == "train":
            continue
        own = _scale(split.inputs)
        kinds = f"{split.inputs.dtype} in {name}, {data.train.inputs.dtype} in train"
        ranges = f"{own} in {name}, {train} in train"
        ratio = _ratio(own.std.max(), train.std.max())
        if ratio > _REFUSED_RATIO or (own.std.max() == 0) != (train.std.max() == 0):
            raise DataError(
                f"{data.source}: the {name} inputs have another scale than the train inputs: "
                f"values {ranges} (type {kinds}); bring all splits to one scale"
            )
        if split.inputs.dtype != data.train.inputs.dtype:
            notes.append(f"splits differ in type: {kinds}; values {ranges}")
        notes += _scale_notes(name, own, train, ranges)
    return notes


def require_like_train(inputs: RawArray, pipeline: Pipeline, *, where: str) -> None:
    """Refuse raw inputs that spread 50 times more or less than those of train.

    Args:
        where: opens the error message.

    Raises:
        DataError: with both ranges.
    """
    own = _scale(inputs)
    spread = float(own.std.max())
    first = pipeline.steps[0]
    # Equal inputs have no spread to compare.
    if not isinstance(first, Normalise) or spread == 0:
        return
    if _ratio(spread, max(first.std)) > _REFUSED_RATIO:
        raise DataError(
            f"{where}: another scale than the train inputs: values {own} of type {inputs.dtype}, "
            f"{pipeline.raw_low:.4g} to {pipeline.raw_high:.4g} of type "
            f"{pipeline.raw_dtype} in train; bring them to one scale"
        )


def require_like_scaling(deviations: Sequence[float], fitted: Step, *, where: str) -> None:
    """Refuse data that a scaling fitted to other data does not suit.

    Args:
        deviations: of each channel.
        fitted: a step that divides each channel by a deviation.
        where: opens the error message.

    Raises:
        DataError: if it has other channels, or spreads 50 times more or less.
    """
    if isinstance(fitted, Normalise):
        theirs = fitted.std
    elif isinstance(fitted, Standardise):
        theirs = fitted.deviations()
    else:
        return
    if len(deviations) != len(theirs):
        raise DataError(
            f"{where}: {len(deviations)} channels, where the data of the student's training has "
            f"{len(theirs)}; bring it to that form"
        )
    own, known = max(deviations), max(theirs)
    if _ratio(own, known) > _REFUSED_RATIO:
        raise DataError(
            f"{where}: another scale than the data of the student's training: a deviation of "
            f"{own:.3g}, {known:.3g} there; bring the data to that scale"
        )


def _scale_notes(name: str, own: _Scale, train: _Scale, ranges: str) -> list[str]:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.array([_ratio(a, b) for a, b in zip(own.std, train.std, strict=True)])
        shifts = np.abs(own.mean - train.mean) / train.std
    strange = np.flatnonzero((ratios > _NOTED_RATIO) | (shifts > _NOTED_SHIFT))
    if not len(strange):
        return []
    worst = int(strange[np.argmax(np.maximum(ratios, shifts)[strange])])
    return [
        f"splits differ in scale: values {ranges}; mean and deviation of channel {worst} are "
        f"{own.mean[worst]:.4g} and {own.std[worst]:.4g} in {name}, {train.mean[worst]:.4g} and "
        f"{train.std[worst]:.4g} in train"
    ]


def _ratio(first: float, second: float) -> float:
    """Return how many times larger the larger one is, >= 1; infinite when only one is 0."""
    small, large = sorted((float(first), float(second)))
    if large == 0:
        return 1.0
    return large / small if small > 0 else float("inf")


def _scale(inputs: RawArray) -> _Scale:
    step = max(1, len(inputs) // _SAMPLE_EXAMPLES)
    sample = np.asarray(inputs[::step], dtype=np.float64)
    axes = (0, *range(2, sample.ndim))
    # What float64 does not hold spreads without end.
    with np.errstate(over="ignore", invalid="ignore"):
        # Offsets much larger than the signal would drown its spread.
        centre = sample[:1].mean(axis=axes, keepdims=True)
        centred = sample - centre
        mean, std = centred.mean(axis=axes) + centre.reshape(-1), centred.std(axis=axes)
    return _Scale(
        mean=mean,
        std=np.where(np.isnan(std), np.inf, std),
        low=float(sample.min()),
        high=float(sample.max()),
    )
