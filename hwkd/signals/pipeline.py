"""What happens to a raw input before the network: steps in NumPy, and the same in C99.

Firmware has to do exactly what training did, so a step is one object with both forms, and the
fingerprint of a data set covers every step.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hwkd.core.catalog import STEPS
from hwkd.core.errors import RunFolderError, first_line
from hwkd.core.pipeline_record import PipelineRecord, StepRecord
from hwkd.core.progress import Progress, silent
from hwkd.core.strict_model import first_problem
from hwkd.io.discovery import discover
from hwkd.signals.fused import fused
from hwkd.signals.source import PipelineC, array_source, signal_source
from hwkd.signals.step import ArrayStep, RowStep, Shape, Step, StreamStep, TextStep
from hwkd.signals.text_code import text_source

_CHUNK_EXAMPLES, _CHUNK_TEXTS = 2048, 512
# Frames of one part at a time stay in a processor's cache, which is four times as fast.
_CHUNK_VALUES = 2**17
# Of one example, before or between steps: 25 minutes of sound, or pictures of 2900x2900.
_MOST_VALUES = 2**26
_LAST_OF_SIGNALS, _AS_PICTURE = "standardise", "picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """All steps in order, and what goes into the first.

    Attributes:
        steps: at least one.
        raw_shape: of a raw input, without batch, channels first.
        raw_dtype: of the raw data as read, for example "uint8".
        raw_low: smallest raw value: of the data type for 8-bit data, else seen in train.
        raw_high: largest raw value, likewise.
    """

    steps: tuple[Step, ...]
    raw_shape: Shape
    raw_dtype: str
    raw_low: float
    raw_high: float

    @classmethod
    def of(cls, record: PipelineRecord) -> Pipeline:
        """Return the pipeline that a record describes.

        Raises:
            RunFolderError: if a step is of a kind that this version does not have, or damaged, or
                takes other values than the one before it makes.
        """
        pipeline = cls(
            steps=tuple(map(step_of, record.steps)),
            raw_shape=record.raw_shape,
            raw_dtype=record.raw_dtype,
            raw_low=record.raw_low,
            raw_high=record.raw_high,
        )
        try:
            _require_chain(pipeline)
        except (ValueError, TypeError) as error:
            raise RunFolderError(f"preprocessing: damaged: {first_line(error)}") from None
        return pipeline

    def record(self) -> PipelineRecord:
        """Return what a run keeps of it."""
        return PipelineRecord(
            steps=tuple(
                # Every step is a dataclass of numbers, which the protocol cannot say.
                StepRecord(kind=s.kind, formula=s.formula, values=asdict(s))  # type: ignore[call-overload]
                for s in self.steps
            ),
            raw_shape=self.raw_shape,
            raw_dtype=self.raw_dtype,
            raw_low=self.raw_low,
            raw_high=self.raw_high,
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all steps and the shape and type of the raw input, 64 hex digits."""
        content = self.record().model_dump(mode="json", exclude={"raw_low", "raw_high"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def is_signal(self) -> bool:
        """Whether it computes features of samples or texts, in whole numbers throughout."""
        return not all(isinstance(step, ArrayStep) for step in self.steps)

    @property
    def is_text(self) -> bool:
        """Whether it reads UTF-8 bytes."""
        return isinstance(self.steps[0], TextStep)

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return the network's inputs, shape [n, *input_shape], for raw ones [n, *raw_shape]."""
        return applied(self.steps, raw)

    def to_c(self, function: str, *, put: str) -> PipelineC:
        """Return `static void FUNCTION(const RAW *raw)` in C99 and what it calls.

        Args:
            function: its name.
            put: function of position and value, defined before, that takes each network input,
                not yet quantised, with the channels first: a float, or of a signal's features
                an int32 in steps of 1/256.
        """
        shapes = self._shapes()
        if self.is_text:
            return text_source(self.steps, shapes, function=function, put=put)
        if self.is_signal:
            steps = fused(self.steps)
            shapes = shapes_of(steps, self.raw_shape)
            return signal_source(steps, shapes, function=function, put=put)
        chosen = tuple(step for step in self.steps if isinstance(step, ArrayStep))
        return array_source(chosen, shapes, function=function, put=put, dtype=self.raw_dtype)

    def _shapes(self) -> list[Shape]:
        return shapes_of(self.steps, self.raw_shape)


def step_of(stored: StepRecord) -> Step:
    """Return the step that a record describes.

    Raises:
        RunFolderError: if it is of a kind that this version does not have, or is damaged.
    """
    discover("hwkd.signals.steps")
    try:
        step = _stored_form(stored.kind).validate_python(stored.values)
    except ValidationError as error:
        problem = first_problem(error, whole="values")
        raise RunFolderError(f"preprocessing step {stored.kind}: {problem}") from None
    return step


@cache
def _stored_form(kind: str) -> TypeAdapter[Step]:
    return TypeAdapter(STEPS.get(kind))


def _require_chain(pipeline: Pipeline) -> None:
    """Refuse steps that do not fit one another.

    Raises:
        ValueError: with what is wrong.
        TypeError: if there is no such type of raw values.
    """
    if not pipeline.steps or not pipeline.raw_shape:
        raise ValueError("no steps, or no shape")
    if np.dtype(pipeline.raw_dtype).kind not in "biuf" or pipeline.raw_low > pipeline.raw_high:
        raise ValueError(f"raw values of {pipeline.raw_dtype} are no numbers in a range")
    if pipeline.is_signal and sum(step.kind == _LAST_OF_SIGNALS for step in pipeline.steps) != 1:
        raise ValueError(f"features are brought to scale by one step {_LAST_OF_SIGNALS}")
    if any(isinstance(step, TextStep) for step in pipeline.steps):
        kinds = [step.kind for step in pipeline.steps[1:]]
        are_scaled = kinds in ([_LAST_OF_SIGNALS], [_LAST_OF_SIGNALS, _AS_PICTURE])
        if not pipeline.is_text or not are_scaled or pipeline.raw_dtype != "uint8":
            raise ValueError("a step of texts takes bytes, and its values go to one that scales")
    # Firmware reads samples where they lie, so the first that makes rows may not write there.
    rows = [step for step in pipeline.steps if isinstance(step, RowStep)]
    if rows and rows[0].in_place:
        raise ValueError(f"step {rows[0].kind} takes no samples")
    shape = pipeline.raw_shape
    for step in pipeline.steps:
        if min(shape) < 1 or math.prod(shape) > _MOST_VALUES:
            raise ValueError(f"shape {shape} before step {step.kind}")
        axes = 2 if isinstance(step, StreamStep) else 3 if isinstance(step, RowStep) else len(shape)
        if axes != len(shape):
            raise ValueError(f"step {step.kind} takes {axes} axes, given {shape}")
        shape = step.output_shape(shape)
    if min(shape) < 1:
        raise ValueError(f"shape {shape} at the end")


def shapes_of(steps: Sequence[Step], shape: Shape) -> list[Shape]:
    """Return the shape before every step and after the last."""
    shapes = [shape]
    for step in steps:
        shapes.append(step.output_shape(shapes[-1]))
    return shapes


def applied(
    steps: Sequence[Step], inputs: NDArray[Any], progress: Progress = silent
) -> NDArray[Any]:
    """Return what steps make of inputs, one after another, in parts that fit into memory.

    Args:
        steps: at least one.
        inputs: shape [n, ...] as the first takes them.
        progress: told after each part.
    """
    shapes = shapes_of(steps, tuple(inputs.shape[1:]))
    streams = sum(isinstance(step, StreamStep) for step in steps)
    # Filters run along time for all examples at once; what follows is small parts of each.
    most = max(math.prod(shape) for shape in shapes[streams:])
    is_framed = len(max(shapes, key=len)) > len(shapes[0]) and streams < len(steps)
    part = max(1, _CHUNK_VALUES // most) if is_framed else _CHUNK_EXAMPLES
    if isinstance(steps[0], TextStep):
        part = _CHUNK_TEXTS
    outputs: NDArray[Any] | None = None
    for start in range(0, max(1, len(inputs)), _CHUNK_EXAMPLES):
        values = _through(steps[:streams], inputs[start : start + _CHUNK_EXAMPLES])
        for at in range(0, max(1, len(values)), part):
            found = _through(steps[streams:], values[at : at + part])
            if outputs is None:
                outputs = np.empty((len(inputs), *shapes[-1]), dtype=found.dtype)
            outputs[start + at : start + at + len(found)] = found
            progress("compute features", start + at + len(found), len(inputs))
    assert outputs is not None
    return outputs


def _through(steps: Sequence[Step], values: NDArray[Any]) -> NDArray[Any]:
    for step in steps:
        values = step.apply(values)
    return values
