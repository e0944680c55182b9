"""What happens to a raw input before the network: steps in NumPy, and the same in C99.

Firmware has to do exactly what training did, so a step is one object with both forms: `apply` and
`to_c` give the same numbers, and the fingerprint of a data set covers every step.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hwkd.core.catalog import STEPS
from hwkd.core.errors import RunFolderError
from hwkd.core.pipeline_record import PipelineRecord, StepRecord
from hwkd.core.strict_model import first_problem

_CHUNK_EXAMPLES = 2048
_C_TYPES = MappingProxyType(
    {
        "bool": "uint8_t", "uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t",
        "uint64": "uint64_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t",
        "int64": "int64_t", "float16": "float", "float32": "float", "float64": "double",
    }
)  # fmt: skip


class Step(Protocol):
    """One step; a frozen dataclass of numbers that `STEPS` has under its kind."""

    @property
    def kind(self) -> str:
        """Registered name."""
        ...

    @property
    def formula(self) -> str:
        """What it does, for people."""
        ...

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the step's output for values of shape [n, *input]."""
        ...

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of an output, without batch, for inputs of a shape."""
        ...

    def to_c(self, function: str, *, c_type: str, shape: tuple[int, ...], put: str) -> str:
        """Return `static void FUNCTION(const C_TYPE *from)` in C99.

        Args:
            shape: of its input, without batch; rows lie one after another.
            put: function of position and value that takes every output once, in any order.
        """
        ...


@STEPS.register("normalise")
@dataclass(frozen=True, slots=True, kw_only=True)
class Normalise:
    """Brings every channel to mean 0 and deviation 1, in double precision.

    Single precision would lose a small signal on a large offset.

    Attributes:
        mean: one per channel, in the units of the raw data, from the train split alone.
        std: one per channel, in the same units, > 0.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def kind(self) -> str:
        """Registered name."""
        return "normalise"

    @property
    def formula(self) -> str:
        """What it does, for people."""
        return "(raw - mean) / std, per channel"

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Subtract and divide; values that float32 cannot hold become infinite."""
        channels = (1, -1, *(1,) * (values.ndim - 2))
        centred = values.astype(np.float64) - np.reshape(self.mean, channels)
        with np.errstate(over="ignore"):
            scaled = np.divide(centred, np.reshape(self.std, channels), out=centred)
            result: NDArray[np.float32] = scaled.astype(np.float32)
        return result

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape as it is."""
        return shape

    def to_c(self, function: str, *, c_type: str, shape: tuple[int, ...], put: str) -> str:
        """Return the same arithmetic in C."""
        channels = len(self.mean)
        return f"""static void {function}(const {c_type} *from)
{{
    static const double mean[{channels}] = {{{_doubles(self.mean)}}};
    static const double std[{channels}] = {{{_doubles(self.std)}}};
    int32_t i = 0;
    for (int channel = 0; channel < {channels}; ++channel)
        for (int32_t end = i + {math.prod(shape[1:])}; i < end; ++i)
            {put}(i, (float)(((double)from[i] - mean[channel]) / std[channel]));
}}
"""


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
    raw_shape: tuple[int, ...]
    raw_dtype: str
    raw_low: float
    raw_high: float

    @classmethod
    def of(cls, record: PipelineRecord) -> Pipeline:
        """Return the pipeline that a record describes.

        Raises:
            RunFolderError: if a step is of a kind that this version does not have, or is damaged.
        """
        steps = []
        for stored in record.steps:
            try:
                steps.append(TypeAdapter(STEPS.get(stored.kind)).validate_python(stored.values))
            except ValidationError as error:
                problem = first_problem(error, whole="values")
                raise RunFolderError(f"preprocessing step {stored.kind}: {problem}") from None
        return cls(
            steps=tuple(steps),
            raw_shape=record.raw_shape,
            raw_dtype=record.raw_dtype,
            raw_low=record.raw_low,
            raw_high=record.raw_high,
        )

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

    def apply(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Return the network's inputs, shape [n, *input_shape], for raw ones [n, *raw_shape]."""
        return applied(self.steps, raw)

    @property
    def c_type(self) -> str:
        """Type of a raw value in C."""
        return _C_TYPES.get(self.raw_dtype, "double")

    def to_c(self, function: str, *, put: str) -> str:
        """Return `static void FUNCTION(const RAW *raw)` in C99 and what it calls.

        Args:
            put: function of position and value, defined before, that takes each network input,
                not yet quantised, with the channels first.
        """
        shapes, functions, calls, given = self._shapes(), [], [], "raw"
        for number, step in enumerate(self.steps, start=1):
            takes = put
            if number < len(self.steps):
                takes = f"put{number}"
                functions.append(
                    f"static float after{number}[{math.prod(shapes[number])}];\n\n"
                    f"static void {takes}(int32_t i, float value)\n"
                    f"{{\n    after{number}[i] = value;\n}}\n"
                )
            c_type = self.c_type if number == 1 else "float"
            name = f"{step.kind}{number}"
            functions.append(step.to_c(name, c_type=c_type, shape=shapes[number - 1], put=takes))
            calls.append(f"    {name}({given});\n")
            given = f"after{number}"
        whole = f"static void {function}(const {self.c_type} *raw)\n{{\n{''.join(calls)}}}\n"
        return "\n".join((*functions, whole))

    def _shapes(self) -> list[tuple[int, ...]]:
        shapes = [self.raw_shape]
        for step in self.steps:
            shapes.append(step.output_shape(shapes[-1]))
        return shapes


def applied(steps: Sequence[Step], inputs: NDArray[Any]) -> NDArray[Any]:
    """Return what steps make of inputs, one after another, in parts that fit into memory.

    Args:
        steps: at least one.
        inputs: shape [n, ...] as the first takes them.
    """
    shape = tuple(inputs.shape[1:])
    for step in steps:
        shape = step.output_shape(shape)
    outputs: NDArray[Any] | None = None
    for start in range(0, max(1, len(inputs)), _CHUNK_EXAMPLES):
        values = inputs[start : start + _CHUNK_EXAMPLES]
        for step in steps:
            values = step.apply(values)
        if outputs is None:
            outputs = np.empty((len(inputs), *shape), dtype=values.dtype)
        outputs[start : start + _CHUNK_EXAMPLES] = values
    assert outputs is not None
    return outputs


def _doubles(values: tuple[float, ...]) -> str:
    # The shortest decimal that gives the same double back, in C as in Python.
    return ", ".join(repr(float(value)) for value in values)
