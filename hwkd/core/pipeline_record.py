"""What a run keeps of the preprocessing: every number that firmware needs for it."""

from __future__ import annotations

from typing import TypeAlias

from hwkd.core.strict_model import StoredInt, StrictModel

StepValue: TypeAlias = float | str | tuple[float, ...] | tuple[str, ...]

# Bits behind the point of what the step "standardise" gives: a deviation has 256 steps.
UNIT_BITS = 8


class StepRecord(StrictModel):
    """One step.

    Attributes:
        formula: what it does, for people.
        values: its numbers by name.
    """

    kind: str
    formula: str
    values: dict[str, StepValue]


class PipelineRecord(StrictModel):
    """All steps in order; see `hwkd.signals.pipeline`.

    Attributes:
        steps: at least one.
        raw_shape: of a raw input, without batch, channels first.
        raw_dtype: type of the raw data, for example "uint8".
    """

    steps: tuple[StepRecord, ...]
    raw_shape: tuple[StoredInt, ...]
    raw_dtype: str
    raw_low: float
    raw_high: float
