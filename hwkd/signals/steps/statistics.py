"""What a window of samples is like: mean, spread, ends, movement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import STEPS
from hwkd.signals.fixed import saturate, square_root
from hwkd.signals.step import CCode, Shape

NAMES = ("mean", "deviation", "lowest", "highest", "rms", "change", "crossings")


@STEPS.register("statistics")
@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Seven numbers of each window, whole and rounded down.

    Mean; square root of the mean squared distance from that mean; lowest and highest sample; square
    root of the mean square; mean distance of neighbours; how often the signal passes its mean.
    """

    kind: ClassVar[str] = "statistics"
    formula: ClassVar[str] = ", ".join(NAMES)
    in_place: ClassVar[bool] = False
    words: ClassVar[int] = 1

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 [n, channels, frames, 7] of int16 frames."""
        wide, length = values.astype(np.int64), values.shape[-1]
        mean = wide.sum(axis=-1) // length
        above = wide - mean[..., None] >= 0
        found = [
            mean,
            square_root(np.square(wide - mean[..., None]).sum(axis=-1) // length),
            wide.min(axis=-1),
            wide.max(axis=-1),
            square_root(np.square(wide).sum(axis=-1) // length),
            np.abs(np.diff(wide, axis=-1)).sum(axis=-1) // max(1, length - 1),
            (above[..., 1:] != above[..., :-1]).sum(axis=-1),
        ]
        return saturate(np.stack(found, axis=-1))

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with one value for each number."""
        return (*shape[:-1], len(NAMES))

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C; see `RowStep`."""
        length = shape[-1]
        text = f"""static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    int32_t low = from[0], high = from[0], sum = 0, crossings = 0, was_above = 0;
    uint32_t change = 0;
    uint64_t squares = 0, distances = 0;
    (void)channel;
    for (int32_t i = 0; i < {length}; ++i) {{
        const int32_t value = from[i], step = i ? value - from[i - 1] : 0;
        low = value < low ? value : low;
        high = value > high ? value : high;
        sum += value;
        squares += (uint32_t)(value * value);
        change += (uint32_t)(step < 0 ? -step : step);
    }}
    const int32_t mean = sum / {length} - (sum % {length} < 0);
    for (int32_t i = 0; i < {length}; ++i) {{
        const int32_t distance = from[i] - mean, is_above = distance >= 0;
        distances += (uint64_t)((int64_t)distance * distance);
        crossings += i && is_above != was_above;
        was_above = is_above;
    }}
    to[0] = mean;
    to[1] = hwkd_to_int16((int32_t)hwkd_square_root(distances / {length}u));
    to[2] = low;
    to[3] = high;
    to[4] = hwkd_to_int16((int32_t)hwkd_square_root(squares / {length}u));
    to[5] = hwkd_to_int16((int32_t)(change / {max(1, length - 1)}u));
    to[6] = hwkd_to_int16(crossings);
}}
"""
        return CCode(text=text)

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return samples and windows; see `RowStep`."""
        rows = math.prod(shape[:-1])
        return {"statistics.sample": float(rows * shape[-1]), "statistics.window": float(rows)}
