"""Power or magnitude of a spectrum."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import STEPS
from hwkd.signals.fixed import square_root
from hwkd.signals.step import CCode, Shape, require_sizes

# Keeps sums of weighted powers within 64 bits; what is cut off lies 120 dB below full scale.
SHIFT = 7


def _parts(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    shifted = values.astype(np.int64) >> SHIFT
    return shifted[..., 0::2], shifted[..., 1::2]


def _function(function: str, c_type: str, frequencies: int, value: str) -> str:
    return f"""static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    (void)from;
    (void)channel;
    for (int32_t *end = to + {2 * frequencies}; to < end; to += 2) {{
        const int32_t re = to[0] >> {SHIFT}, im = to[1] >> {SHIFT};
        const uint64_t power = (uint64_t)((int64_t)re * re + (int64_t)im * im);
        hwkd_store64(to, {value});
    }}
}}
"""


class _OfPairs:
    """What is made of each pair of a real and an imaginary part; stored in 64 bits."""

    __slots__ = ()

    kind: ClassVar[str]
    in_place: ClassVar[bool] = True
    words: ClassVar[int] = 2
    c_value: ClassVar[str]

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with one value for each frequency."""
        require_sizes((shape[-1] % 2,), 0, what="parts without their other")
        return (*shape[:-1], shape[-1] // 2)

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C; see `RowStep`."""
        return CCode(text=_function(function, c_type, shape[-1] // 2, self.c_value))

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return frequencies; see `RowStep`."""
        return {self.kind: float(math.prod(shape) // 2)}


@STEPS.register("power")
@dataclass(frozen=True, slots=True, kw_only=True)
class Power(_OfPairs):
    """Squares of the real and the imaginary part, added; below 2^46."""

    kind: ClassVar[str] = "power"
    formula: ClassVar[str] = "(re >> 7)^2 + (im >> 7)^2"
    c_value: ClassVar[str] = "power"

    def apply(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return int64 [..., frequencies] of pairs."""
        re, im = _parts(values)
        found: NDArray[np.int64] = re * re + im * im
        return found


@STEPS.register("magnitude")
@dataclass(frozen=True, slots=True, kw_only=True)
class Magnitude(_OfPairs):
    """Square root of the power, rounded down."""

    kind: ClassVar[str] = "magnitude"
    formula: ClassVar[str] = "floor(sqrt((re >> 7)^2 + (im >> 7)^2))"
    c_value: ClassVar[str] = "hwkd_square_root(power)"

    def apply(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return int64 [..., frequencies] of pairs."""
        re, im = _parts(values)
        return square_root(re * re + im * im)
