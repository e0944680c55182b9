"""How fast values change from frame to frame, beside the values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import STEPS
from hwkd.signals.step import CCode, Shape

# One tenth, in steps of 1/65536.
_TENTH = 6554


@STEPS.register("delta")
@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """The values, then the slope of the line through the last five frames of each.

    It looks back alone, so that firmware need not wait for what comes; before the first frame lie
    copies of it.
    """

    kind: ClassVar[str] = "delta"
    formula: ClassVar[str] = "x, then (2 (x[t] - x[t-4]) + x[t-1] - x[t-3]) / 10"
    in_place: ClassVar[bool] = False
    words: ClassVar[int] = 1

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 [n, channels, frames, 2 * values]."""
        wide = values.astype(np.int64)
        padded = np.concatenate([np.repeat(wide[:, :, :1], 4, axis=2), wide], axis=2)
        frames = values.shape[2]
        x = [padded[:, :, 4 - back : 4 - back + frames] for back in range(5)]
        slope = ((2 * (x[0] - x[4]) + x[1] - x[3]) * _TENTH + 32768) >> 16
        return np.concatenate([wide, slope], axis=3).astype(np.int16)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with twice the values."""
        return (*shape[:-1], 2 * shape[-1])

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C; see `RowStep`."""
        channels, _, values = shape
        state = f"{function}_state"
        text = f"""static struct {{
    int16_t rows[{channels}][4][{values}];
    uint8_t is_running[{channels}];
}} {state};

static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    int16_t (*row)[{values}] = {state}.rows[channel];
    for (int32_t i = 0; i < {values}; ++i) {{
        const int32_t now = from[i];
        if (!{state}.is_running[channel])
            row[0][i] = row[1][i] = row[2][i] = row[3][i] = (int16_t)now;
        const int32_t change = 2 * (now - row[3][i]) + row[0][i] - row[2][i];
        to[i] = now;
        to[{values} + i] = (change * {_TENTH} + 32768) >> 16;
        row[3][i] = row[2][i];
        row[2][i] = row[1][i];
        row[1][i] = row[0][i];
        row[0][i] = (int16_t)now;
    }}
    {state}.is_running[channel] = 1;
}}
"""
        return CCode(
            text=text,
            reset=f"memset(&{state}, 0, sizeof {state});",
            state_bytes=channels * 8 * values + -(-channels // 2) * 2,
        )

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return values; see `RowStep`."""
        return {"delta": float(math.prod(shape))}
