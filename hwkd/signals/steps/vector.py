"""Length of a vector of three sensors, which does not depend on how a device is held."""

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


@STEPS.register("vector-magnitude")
@dataclass(frozen=True, slots=True, kw_only=True)
class VectorMagnitude:
    """The channels, then sqrt(x^2 + y^2 + z^2) of the first three, of the next three and so on."""

    kind: ClassVar[str] = "vector-magnitude"
    formula: ClassVar[str] = "all channels, then floor(sqrt(x^2 + y^2 + z^2)) of each three"
    factor: ClassVar[int] = 1

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 [n, channels + channels / 3, time] of int16 signals."""
        count, channels, time = values.shape
        threes = values[:, : channels // 3 * 3].reshape(count, channels // 3, 3, time)
        lengths = square_root(np.square(threes.astype(np.int64)).sum(axis=2))
        return np.concatenate([values, saturate(lengths)], axis=1)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with the further channels."""
        return shape[0] + shape[0] // 3, shape[1]

    def stream_c(self, function: str, *, channels: int, most: int) -> CCode:
        """Return the same in C; see `StreamStep`."""
        del most
        text = f"""static void {function}(const int16_t *from, int32_t apart,
    int16_t *to, int32_t to_apart, int32_t count)
{{
    for (int32_t channel = 0; channel < {channels}; ++channel)
        memcpy(to + channel * to_apart, from + channel * apart, 2 * (size_t)count);
    for (int32_t three = 0; three < {channels // 3}; ++three)
        for (int32_t t = 0; t < count; ++t) {{
            uint32_t sum = 0;
            for (int32_t axis = 0; axis < 3; ++axis) {{
                const int32_t value = from[(3 * three + axis) * apart + t];
                sum += (uint32_t)(value * value);
            }}
            const uint32_t length = hwkd_square_root32(sum);
            to[({channels} + three) * to_apart + t] = (int16_t)(length > 32767u ? 32767u : length);
        }}
}}
"""
        return CCode(text=text)

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return vectors and copied samples; see `StreamStep`."""
        return {
            "vector.length": float(shape[0] // 3 * shape[1]),
            "vector.sample": float(math.prod(shape)),
        }
