"""What a teacher is shown: the inputs that students see, at the scale that it was trained at."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwkd.core.errors import TeacherError
from hwkd.core.pipeline_record import UNIT_BITS, PipelineRecord, StepRecord
from hwkd.core.teacher_input import TEACHER_INPUTS, TeacherInput

# Of the pictures that most published image networks were trained on, at 0 to 1; as torchvision has
# them (torchvision.transforms.Normalize).
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SIGNED = ("int8", "int16")
_Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenInput:
    """What a teacher is shown for normalised inputs: them times `scale` plus `offset`.

    Attributes:
        wanted: as the user writes it.
    """

    wanted: TeacherInput
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)

    @property
    def text(self) -> str:
        """As the user writes it."""
        return self.wanted.text

    @property
    def is_scaled(self) -> bool:
        """Whether any value changes."""
        return set(self.scale) != {1.0} or set(self.offset) != {0.0}

    def with_channels(self, *, last: bool) -> SeenInput:
        """Return the same scale with the channels first or last."""
        return replace(self, wanted=replace(self.wanted, channels_last=last))

    def shape_of(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of what the teacher is shown, for inputs of a shape, without batch."""
        is_last = self.wanted.channels_last
        return (*input_shape[1:], input_shape[0]) if is_last else input_shape

    def of_array(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the teacher is shown for inputs of shape [n, channels, ...]."""
        if self.is_scaled:
            scale, offset = (_per_channel(v, inputs.ndim) for v in (self.scale, self.offset))
            inputs = (inputs * scale + offset).astype(np.float32)
        return np.moveaxis(inputs, 1, -1) if self.wanted.channels_last else inputs

    def of_tensor(self, inputs: Tensor) -> Tensor:
        """Return the same for a tensor; gradients pass."""
        if self.is_scaled:
            scale, offset = (
                torch.from_numpy(_per_channel(v, inputs.dim())).to(inputs.device)
                for v in (self.scale, self.offset)
            )
            inputs = (inputs * scale + offset).to(inputs.dtype)
        return inputs.movedim(1, -1) if self.wanted.channels_last else inputs

    def identity_of(self, content: str) -> str:
        """Return the identity of a teacher that sees this, from that of what it is made of."""
        if not self.is_scaled and not self.wanted.channels_last:
            return content
        numbers = (self.scale, self.offset, self.wanted.channels_last)
        return hashlib.sha256(f"{content} sees {numbers!r}".encode()).hexdigest()


AS_STUDENTS = SeenInput(wanted=TeacherInput())


def seen_input(wanted: TeacherInput, pipeline: PipelineRecord) -> SeenInput:
    """Return what a teacher is shown that expects an input, from the preprocessing of the data.

    Args:
        wanted: as the user writes it.
        pipeline: that students' inputs went through.

    Raises:
        TeacherError: if raw values cannot be had back, or numbers do not match the channels.
    """
    if wanted.base == "normalised" and not wanted.mean:
        return SeenInput(wanted=wanted)
    first = pipeline.steps[0]
    channels = pipeline.raw_shape[0]
    mean, std = wanted.mean, wanted.std
    if wanted.base == "imagenet" and (channels != len(_IMAGENET[0]) or mean):
        raise TeacherError(
            f"--teacher-input {wanted.text}: is of three channels, without a mean of your own; the "
            f"data has {channels}; give unit,mean=..,std=.."
        )
    if len(mean) not in (0, 1, channels):
        raise TeacherError(
            f"--teacher-input {wanted.text}: has {len(mean)} means; the data has {channels} "
            "channels; give one for all or one for each"
        )
    if wanted.base == "normalised":
        return SeenInput(wanted=wanted, **_affine(np.ones(1), np.zeros(1), mean, std))
    kept = None if len(pipeline.steps) > 1 else _moments(first)
    if kept is None:
        kinds = ", ".join(step.kind for step in pipeline.steps)
        raise TeacherError(
            f"--teacher-input {wanted.text}: raw values cannot be had back after the preprocessing "
            f"of this data ({kinds}); give a teacher that takes its results (normalised)"
        )
    if wanted.base == "imagenet":
        mean, std = _IMAGENET
    low, high = _range(wanted.base, pipeline)
    scaled = _affine(kept[1] / (high - low), (kept[0] - low) / (high - low), mean, std)
    return SeenInput(wanted=wanted, **scaled)


def _moments(step: StepRecord) -> tuple[_Numbers, _Numbers] | None:
    """Return what a step took off each channel and divided it by; None of steps that do more."""
    given = {name: np.array(cast(Any, value), float) for name, value in step.values.items()}
    if step.kind == "normalise":
        return given["mean"], given["std"]
    if step.kind == "standardise":
        whole = 2.0 ** given["shifts"]
        # Its offsets hold the half that rounds.
        factors = np.maximum(given["factors"], 1.0)
        mean = (np.floor(whole / 2) - given["offsets"]) / factors
        return mean, 2.0**UNIT_BITS * whole / factors
    return None


def usual_inputs(pipeline: PipelineRecord) -> tuple[SeenInput, ...]:
    """Return what teachers are usually trained on, channels first, each scale once."""
    found: list[SeenInput] = []
    for base in TEACHER_INPUTS:
        try:
            seen = seen_input(TeacherInput(base=base), pipeline)
        except TeacherError:  # not of this data
            continue
        if not any(_is_alike(seen, other) for other in found):
            found.append(seen)
    return tuple(found)


def _affine(
    scale: _Numbers, offset: _Numbers, mean: Iterable[float], std: Iterable[float]
) -> dict[str, tuple[float, ...]]:
    """Return scale and offset, followed by a mean that is taken off and a deviation."""
    if taken := tuple(mean):
        divided = np.array(tuple(std))
        scale, offset = scale / divided, (offset - np.array(taken)) / divided
    scale, offset = np.broadcast_arrays(scale, offset)
    return {"scale": tuple(scale.tolist()), "offset": tuple(offset.tolist())}


def _range(base: str, pipeline: PipelineRecord) -> tuple[float, float]:
    """Return the raw values that become 0 and 1."""
    low, high = pipeline.raw_low, pipeline.raw_high
    if base == "raw":
        return 0.0, 1.0
    if base == "signed":  # a fixed-point sample of sound is over its full scale
        is_fixed = pipeline.raw_dtype in _SIGNED
        return (0.0, float(-np.iinfo(pipeline.raw_dtype).min)) if is_fixed else _middle(low, high)
    return (low, low + (high - low) / 255) if base == "bytes" else (low, high)


def _middle(low: float, high: float) -> tuple[float, float]:
    return (low + high) / 2, high


def _is_alike(one: SeenInput, other: SeenInput) -> bool:
    pairs = ((one.scale, other.scale), (one.offset, other.offset))
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in pairs)


def _per_channel(values: tuple[float, ...], ndim: int) -> _Numbers:
    return np.reshape(np.array(values), (1, -1, *(1,) * (ndim - 2)))
