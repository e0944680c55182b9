"""Discrete cosine transform of logarithms: what makes cepstral coefficients of filters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import STEPS
from hwkd.signals.fixed import saturate
from hwkd.signals.step import CCode, Count, Shape, table_c

# Of the result: a logarithm has 9 bits of fraction, a coefficient 7.
_DROPPED_BITS = 2


@STEPS.register("cosine")
@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """The first coefficients of the orthonormal transform of type II, in steps of 1/128.

    Factors have as many bits as keep every sum within int32.

    Attributes:
        coefficients: 1 to the number of values.
    """

    kind: ClassVar[str] = "cosine"
    formula: ClassVar[str] = "orthonormal discrete cosine transform II / 4, first coefficients"
    in_place: ClassVar[bool] = False
    words: ClassVar[int] = 1

    coefficients: Count

    def factors(self, values: int) -> tuple[NDArray[np.int64], int]:
        """Return whole factors [coefficients, values] and by how many bits they are too large."""
        real = [
            [
                math.sqrt((1 if k == 0 else 2) / values)
                * math.cos(math.pi * k * (2 * i + 1) / (2 * values))
                for i in range(values)
            ]
            for k in range(self.coefficients)
        ]
        largest = max(sum(abs(one) for one in row) for row in real)
        bits = min(14, 15 - math.ceil(math.log2(largest)))
        return np.array([[round(one * 2**bits) for one in row] for row in real], np.int64), bits

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 [..., coefficients] of int16 [..., values]."""
        factors, bits = self.factors(values.shape[-1])
        shift = bits + _DROPPED_BITS
        # Sums below 2^53 are exact in float64, whose product of matrices is the fast one.
        sums = (values.astype(np.float64) @ factors.T.astype(np.float64)).astype(np.int64)
        return saturate((sums + (1 << (shift - 1))) >> shift)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with one value for each coefficient."""
        if self.coefficients > shape[-1]:
            raise ValueError(f"{self.coefficients} coefficients of {shape[-1]} values")
        return (*shape[:-1], self.coefficients)

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C; see `RowStep`."""
        factors, bits = self.factors(shape[-1])
        shift = bits + _DROPPED_BITS
        text = f"""{table_c("int16_t", f"{function}_table", factors.reshape(-1))}
static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    const int16_t *factor = {function}_table;
    (void)channel;
    for (int32_t k = 0; k < {self.coefficients}; ++k) {{
        int32_t sum = {1 << (shift - 1)};
        for (int32_t i = 0; i < {shape[-1]}; ++i)
            sum += (int32_t)from[i] * *factor++;
        to[k] = hwkd_to_int16(sum >> {shift});
    }}
}}
"""
        return CCode(text=text, table_bytes=2 * factors.size)

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return products and sums; see `RowStep`."""
        sums = math.prod(shape[:-1]) * self.coefficients
        return {"cosine.product": float(sums * shape[-1]), "cosine.sum": float(sums)}
