"""Normalises each filter by its own recent energy: loudness and steady noise cancel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.signals.fixed import LOG_BITS, POWER_BITS, exp2, log2, log_table, power_table
from hwkd.signals.step import CCode, Count, Shape, table_c

# The running mean has 8 bits of fraction, a result 11: 16 is the largest.
_MEAN_BITS, _RESULT_BITS = 8, 11


@STEPS.register("pcen")
@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyNormalisation:
    """(E / (mean of E)^gain + bias)^power - bias^power, in steps of 1/2048.

    The mean follows by 1/2^smoothing of the difference in each frame and starts at the first frame.

    Attributes:
        smoothing: 1 to 12.
        gain: 0 to 1.
        bias: more than 0, at most 1000.
        power: more than 0, at most 1.
        floor: added to the energy and to the mean; >= 1.

    Source:
        Wang et al. 2017, arXiv:1607.05666, equation 1.
    """

    kind: ClassVar[str] = "pcen"
    formula: ClassVar[str] = "2048 ((E / mean(E)^gain + bias)^power - bias^power)"
    in_place: ClassVar[bool] = True
    words: ClassVar[int] = 1

    smoothing: Annotated[int, Field(ge=1, le=12)] = 5
    gain: Annotated[float, Field(ge=0.0, le=1.0)] = 0.98
    bias: Annotated[float, Field(gt=0.0, le=1000.0)] = 2.0
    power: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    floor: Count = 64

    def numbers(self) -> tuple[int, int, int, int]:
        """Return gain and power in steps of 1/32768, the bias, and what is taken off."""
        gain, power = round(32768 * self.gain), round(32768 * self.power)
        bias = round(self.bias * 2**POWER_BITS)
        zero = int(_raised(np.array([bias]), power)[0])
        return gain, power, bias, zero

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 of int64 below 2^54, shape [n, channels, frames, values]."""
        gain, power, bias, zero = self.numbers()
        found = np.empty(values.shape, np.int16)
        mean = values[:, :, 0] << _MEAN_BITS
        for frame in range(values.shape[2]):
            energy = values[:, :, frame]
            mean = mean + (((energy << _MEAN_BITS) - mean) >> self.smoothing)
            level = (gain * log2((mean >> _MEAN_BITS) + self.floor)) >> 15
            ratio = exp2(log2(energy + self.floor) - level)
            found[:, :, frame] = np.minimum(_raised(ratio + bias, power) - zero, 32767)
        return found

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape as it is."""
        return shape

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C; see `RowStep`."""
        channels, _, values = shape
        gain, power, bias, zero = self.numbers()
        state, logs, powers = f"{function}_state", f"{function}_logs", f"{function}_powers"
        text = f"""{table_c("uint16_t", logs, log_table())}
{table_c("uint32_t", powers, power_table())}
static struct {{
    int64_t mean[{channels}][{values}];
    uint8_t is_running[{channels}];
}} {state};

static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    for (int32_t i = 0; i < {values}; ++i) {{
        const int64_t energy = (int64_t)hwkd_load64(from + 2 * i);
        int64_t mean = {state}.mean[channel][i];
        if (!{state}.is_running[channel])
            mean = energy << {_MEAN_BITS};
        mean += ((energy << {_MEAN_BITS}) - mean) >> {self.smoothing};
        {state}.mean[channel][i] = mean;
        const int32_t level = hwkd_log2((uint64_t)(mean >> {_MEAN_BITS}) + {self.floor}u, {logs});
        const int32_t above = hwkd_log2((uint64_t)energy + {self.floor}u, {logs});
        const uint32_t ratio = hwkd_exp2(above - (({gain} * level) >> 15), {powers});
        const int32_t biased = hwkd_log2((uint64_t)ratio + {bias}u, {logs});
        const int32_t raised = biased - {POWER_BITS << LOG_BITS};
        const int32_t root = (({power} * raised) >> 15) + {(_RESULT_BITS - POWER_BITS) << LOG_BITS};
        const int32_t result = (int32_t)hwkd_exp2(root, {powers}) - {zero};
        to[i] = result > 32767 ? 32767 : result;
    }}
    {state}.is_running[channel] = 1;
}}
"""
        return CCode(
            text=text,
            reset=f"memset(&{state}, 0, sizeof {state});",
            state_bytes=channels * 8 * values + -(-channels // 8) * 8,
            table_bytes=2 * len(log_table()) + 4 * len(power_table()),
        )

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return values; see `RowStep`."""
        return {"pcen": float(math.prod(shape))}


def _raised(values: NDArray[np.int64], power: int) -> NDArray[np.int64]:
    """Return values, in steps of a power, to a power, in steps of a result."""
    logarithm = log2(values) - (POWER_BITS << LOG_BITS)
    return exp2(((power * logarithm) >> 15) + ((_RESULT_BITS - POWER_BITS) << LOG_BITS))
