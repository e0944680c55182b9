"""Brings every feature to mean 0 and deviation 1, in whole numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.core.pipeline_record import UNIT_BITS
from hwkd.signals.fixed import saturate
from hwkd.signals.step import CCode, Int32, Shape, require_sizes, table_c

_FACTOR_BITS = 14


@STEPS.register("standardise")
@dataclass(frozen=True, slots=True, kw_only=True)
class Standardise:
    """(feature * factor + offset) >> shift for each channel, in steps of 1/256 of a deviation.

    Factors have 14 bits, so products of int16 stay within int32.

    Attributes:
        factors: one for each channel, below 2^14.
        offsets: likewise, with the half that rounds.
        shifts: likewise, 0 to 30.
    """

    kind: ClassVar[str] = "standardise"
    formula: ClassVar[str] = "((feature * factor + offset) >> shift) / 256, per channel"
    python: ClassVar[str] = f"""\
factors, offsets, shifts = (
    np.array(step[k], int)[:, None] for k in ("factors", "offsets", "shifts")
)
values = np.clip((values * factors + offsets) >> shifts, -32768, 32767) / {2**UNIT_BITS}
"""

    factors: tuple[Annotated[int, Field(ge=0, lt=2**_FACTOR_BITS)], ...]
    offsets: tuple[Int32, ...]
    shifts: tuple[Annotated[int, Field(ge=0, le=30)], ...]

    @classmethod
    def of(cls, mean: Sequence[float], std: Sequence[float]) -> Standardise:
        """Return the step for features of a mean and deviation, one each for every channel."""
        factors, offsets, shifts = [], [], []
        for centre, spread in zip(mean, std, strict=True):
            gain = 2.0**UNIT_BITS / max(spread, 2.0 ** (UNIT_BITS - _FACTOR_BITS))
            shift = max(0, min(30, _FACTOR_BITS - 1 - math.floor(math.log2(gain))))
            factor = min(2**_FACTOR_BITS - 1, round(gain * 2**shift))
            factors.append(factor)
            shifts.append(shift)
            offsets.append((1 << shift >> 1) - round(factor * centre))
        return cls(factors=tuple(factors), offsets=tuple(offsets), shifts=tuple(shifts))

    def deviations(self) -> tuple[float, ...]:
        """Return of each channel what becomes 1."""
        unit = 2.0**UNIT_BITS
        return tuple(
            unit * 2**shift / max(factor, 1)
            for factor, shift in zip(self.factors, self.shifts, strict=True)
        )

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 [n, channels, time] of int16 features."""
        column = [np.array(part, np.int32)[:, None] for part in (self.factors, self.offsets)]
        steps = values.astype(np.int32) * column[0]
        steps += column[1]
        steps >>= np.array(self.shifts, np.int32)[:, None]
        result: NDArray[np.float32] = saturate(steps).astype(np.float32) / 2.0**UNIT_BITS
        return result

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape as it is."""
        parts = (self.factors, self.offsets, self.shifts)
        require_sizes(map(len, parts), shape[0], what="channels")
        return shape

    def value_c(self, function: str) -> CCode:
        """Return `static int32_t FUNCTION(int32_t channel, int32_t feature)`, in steps of 1/256."""
        text = f"""{table_c("int16_t", f"{function}_factors", self.factors)}
{table_c("int32_t", f"{function}_offsets", self.offsets)}
{table_c("uint8_t", f"{function}_shifts", self.shifts)}
static int32_t {function}(int32_t channel, int32_t feature)
{{
    const int32_t sum = feature * {function}_factors[channel] + {function}_offsets[channel];
    return hwkd_to_int16(sum >> {function}_shifts[channel]);
}}
"""
        return CCode(text=text, table_bytes=7 * len(self.factors))
