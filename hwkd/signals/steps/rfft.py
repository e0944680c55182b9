"""Spectrum of a frame, divided by its length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.signals.fixed import sine_table
from hwkd.signals.step import CCode, Shape, require_sizes, table_c

_Floats = NDArray[np.float64]


@STEPS.register("rfft")
@dataclass(frozen=True, slots=True, kw_only=True)
class RealSpectrum:
    """Discrete Fourier transform of real values, real and imaginary parts in turn.

    Radix 4 with factors in steps of 1/32768, every level halved and rounded down. Whole numbers
    below 2^53 are exact in float64, which is what NumPy is fastest with.

    Attributes:
        size: of a frame, a power of two, >= 8; values lie within 2^29.
    """

    kind: ClassVar[str] = "rfft"
    formula: ClassVar[str] = "discrete Fourier transform / size, int32"
    in_place: ClassVar[bool] = True
    words: ClassVar[int] = 1

    size: Annotated[int, Field(ge=8, le=2**15)]

    def apply(self, values: NDArray[Any]) -> NDArray[np.int32]:
        """Return int32 [..., size + 2] of int32 [..., size]."""
        size, points = self.size, self.size // 2
        rows = values.reshape(-1, points, 2)[:, _reversed_order(points)]
        # One frame beside the other: every operation runs along all of them.
        re = np.ascontiguousarray(rows[:, :, 0].T, np.float64)
        im = np.ascontiguousarray(rows[:, :, 1].T, np.float64)
        table = sine_table(size) / 65536
        re, im = _levels(re, im, table, size)
        found = np.empty((size + 2, re.shape[1]), np.int32)
        _split(re, im, table, found)
        return np.ascontiguousarray(found.T).reshape(*values.shape[:-1], size + 2)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with two values for each frequency."""
        if self.size & (self.size - 1):
            raise ValueError(f"size {self.size} is no power of two")
        require_sizes((shape[-1],), self.size, what="values of a frame")
        return (*shape[:-1], self.size + 2)

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C; see `RowStep`."""
        del shape
        text = f"""{table_c("int16_t", f"{function}_table", sine_table(self.size))}
static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    (void)from;
    (void)channel;
    hwkd_rfft(to, {function}_table, {self.size});
}}
"""
        return CCode(text=text, table_bytes=2 * self.size, headers=("hwkd_rfft.h",))

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return butterflies with and without factors and pairs; see `RowStep`."""
        points, rows = self.size // 2, math.prod(shape[:-1])
        bits = points.bit_length() - 1
        levels, plain, turned, quarter = bits // 2, 0, 0, 1 + bits % 2
        for _ in range(levels):
            blocks = points // (4 * quarter)
            plain += blocks
            turned += blocks * (quarter - 1)
            quarter *= 4
        return {
            "rfft.turned": float(rows * turned),
            "rfft.plain": float(rows * (plain + points // 4 * (bits % 2))),
            "rfft.pair": float(rows * points // 2),
            "rfft.order": float(rows * points),
        }


def _reversed_order(points: int) -> NDArray[np.int64]:
    order = np.zeros(1, np.int64)
    while len(order) < points:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def _halved(values: _Floats) -> _Floats:
    half = values * 0.5
    return np.floor(half, out=half)


def _turned(re: _Floats, im: _Floats, cosine: _Floats, sine: _Floats) -> tuple[_Floats, _Floats]:
    def times(a: _Floats, b: _Floats) -> _Floats:
        product = a * b
        return np.floor(product, out=product)

    return times(re, cosine) + times(im, sine), times(im, cosine) - times(re, sine)


def _levels(re: _Floats, im: _Floats, table: _Floats, size: int) -> tuple[_Floats, _Floats]:
    """Return the transform of complex values [points, frames] in reversed order."""
    points, quarter = size // 2, 1
    if (points.bit_length() - 1) % 2:
        pairs = [part.reshape(points // 2, 2, -1) for part in (re, im)]
        re, im = (
            _halved(np.stack([p[:, 0] + p[:, 1], p[:, 0] - p[:, 1]], axis=1)).reshape(points, -1)
            for p in pairs
        )
        quarter = 2
    while quarter < points:
        shape = (points // (4 * quarter), 4, quarter, -1)
        x, y = re.reshape(shape), im.reshape(shape)
        one = np.arange(quarter)[:, None] * (size // (4 * quarter))
        ar, ai = _halved(x[:, 0]), _halved(y[:, 0])
        b, c, d = (
            _by_factor(x[:, block], y[:, block], times * one, table, size)
            for block, times in ((1, 2), (2, 1), (3, 3))
        )
        sr, si, tr, ti = ar + b[0], ai + b[1], ar - b[0], ai - b[1]
        ur, ui, vr, vi = c[0] + d[0], c[1] + d[1], c[0] - d[0], c[1] - d[1]
        re, im = np.empty(x.shape), np.empty(x.shape)
        for block, real, imaginary in (
            (0, sr + ur, si + ui), (1, tr + vi, ti - vr),
            (2, sr - ur, si - ui), (3, tr - vi, ti + vr),
        ):  # fmt: skip
            re[:, block], im[:, block] = _halved(real), _halved(imaginary)
        re, im = re.reshape(points, -1), im.reshape(points, -1)
        quarter *= 4
    return re, im


def _by_factor(
    x: _Floats, y: _Floats, at: NDArray[np.int64], table: _Floats, size: int
) -> tuple[_Floats, _Floats]:
    """Return x + iy times half a factor; the first, which is 1, is not in the table."""
    re, im = _turned(x, y, table[at + size // 4], table[at])
    re[:, 0], im[:, 0] = _halved(x[:, 0]), _halved(y[:, 0])
    return re, im


def _split(re: _Floats, im: _Floats, table: _Floats, found: NDArray[np.int32]) -> None:
    """Write the spectrum of the real values that came in pairs as complex ones."""
    points = len(re)
    k = np.arange(1, points // 2 + 1)
    lr, li, hr, hi = re[k], im[k], re[points - k], im[points - k]
    er, ei = np.floor(_halved(lr + hr) * 0.5), np.floor(_halved(li - hi) * 0.5)
    odd = _turned(
        _halved(li + hi), _halved(hr - lr),
        table[k + points // 2][:, None], table[k][:, None],
    )  # fmt: skip
    found[2 * k], found[2 * k + 1] = er + odd[0], ei + odd[1]
    mirrored = 2 * (points - k)
    found[mirrored], found[mirrored + 1] = er - odd[0], odd[1] - ei
    found[0], found[2 * points] = _halved(re[0] + im[0]), _halved(re[0] - im[0])
    found[1] = found[2 * points + 1] = 0
