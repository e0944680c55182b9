"""Fades every frame in and out, and fills it up to the length of a spectrum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.signals.step import CCode, Shape, table_c

# Name -> a of a - (1 - a) cos.
SHAPES = MappingProxyType({"hann": 0.5, "hamming": 0.54, "none": 1.0})


@STEPS.register("window")
@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Samples times a periodic window, in steps of 1/16384 of a sample.

    Attributes:
        name: hann, hamming or none.
        size: values of the result, a power of two; zeros follow the samples.
    """

    kind: ClassVar[str] = "window"
    formula: ClassVar[str] = "floor(sample * round(32767 * window) / 2), then zeros up to size"
    details: ClassVar[str] = (
        "window i of n samples: a - (1 - a) cos(2 pi i / n), with a = 0.5 for hann, 0.54 for "
        "hamming and 1 for none"
    )
    in_place: ClassVar[bool] = False
    words: ClassVar[int] = 1

    name: str
    size: Annotated[int, Field(ge=8, le=2**15)]

    def weights(self, length: int) -> NDArray[np.int32]:
        """Return the window in steps of 1/32767, shape [length]."""
        mean = SHAPES[self.name]
        turns = (2 * math.pi * i / length for i in range(length))
        window = [mean - (1 - mean) * math.cos(turn) for turn in turns]
        return np.array([round(32767 * one) for one in window], np.int32)

    def apply(self, values: NDArray[Any]) -> NDArray[np.int32]:
        """Return int32 [n, channels, frames, size] of int16 frames."""
        length = values.shape[-1]
        found = np.zeros((*values.shape[:-1], self.size), np.int32)
        np.multiply(values, self.weights(length), out=found[..., :length])
        found >>= 1
        return found

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with the size of the spectrum."""
        if shape[-1] > self.size or self.name not in SHAPES:
            raise ValueError(f"{shape[-1]} samples in {self.size}, window {self.name!r:.20}")
        return (*shape[:-1], self.size)

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C; see `RowStep`."""
        length = shape[-1]
        table = table_c("int16_t", f"{function}_table", self.weights(length))
        is_raw = c_type == "int16_t"
        windowed = f"hwkd_window(from, {function}_table, to, {length});"
        if not is_raw:
            windowed = (
                f"for (int32_t i = 0; i < {length}; ++i)\n"
                f"        to[i] = ((int32_t)from[i] * {function}_table[i]) >> 1;"
            )
        text = f"""{table}
static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    (void)channel;
    {windowed}
    for (int32_t i = {length}; i < {self.size}; ++i)
        to[i] = 0;
}}
"""
        headers = ("hwkd_window.h",) if is_raw else ()
        return CCode(text=text, table_bytes=2 * length, headers=headers)

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return samples; see `RowStep`."""
        return {"window": float(math.prod(shape[:-1]) * self.size)}
