"""Logarithm of powers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import STEPS
from hwkd.signals.fixed import log2, log_table
from hwkd.signals.step import CCode, Count, Shape, table_c


@STEPS.register("log")
@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Logarithm to the base 2 in steps of 1/512.

    Attributes:
        floor: added before, so that silence has one value and not the noise of single steps; >= 1.
    """

    kind: ClassVar[str] = "log"
    formula: ClassVar[str] = "512 log2(power + floor)"
    in_place: ClassVar[bool] = True
    words: ClassVar[int] = 1

    floor: Count

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 of int64 below 2^62, same shape."""
        return log2(values + self.floor).astype(np.int16)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape as it is."""
        return shape

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C; see `RowStep`."""
        text = f"""{table_c("uint16_t", f"{function}_table", log_table())}
static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    (void)channel;
    for (int32_t i = 0; i < {shape[-1]}; ++i)
        to[i] = hwkd_log2(hwkd_load64(from + 2 * i) + {self.floor}u, {function}_table);
}}
"""
        return CCode(text=text, table_bytes=2 * len(log_table()))

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return values; see `RowStep`."""
        return {"log": float(math.prod(shape))}
