"""Steps that C does in one go: the same values, with fewer passes over a frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from hwkd.signals.fixed import sine_table
from hwkd.signals.step import CCode, Shape, Step, table_c
from hwkd.signals.steps.frames import Frames
from hwkd.signals.steps.power import SHIFT, Power
from hwkd.signals.steps.rfft import RealSpectrum
from hwkd.signals.steps.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePowers:
    """A window, its spectrum and the powers: the first level reads samples, the last squares.

    Attributes:
        window: of frames of an even length, more than half of its size.
        spectrum: of the same size, >= 16.
    """

    kind: ClassVar[str] = "frame-powers"
    formula: ClassVar[str] = "power of the spectrum of a window"
    in_place: ClassVar[bool] = False
    words: ClassVar[int] = 2

    window: Window
    spectrum: RealSpectrum

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return int64 [..., size / 2 + 1] of int16 frames."""
        return Power().apply(self.spectrum.apply(self.window.apply(values)))

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with one value for each frequency."""
        spectrum = self.spectrum.output_shape(self.window.output_shape(shape))
        return Power().output_shape(spectrum)

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C; see `RowStep`."""
        length, size = shape[-1], self.spectrum.size
        points = size // 2
        text = f"""{table_c("int16_t", f"{function}_window", self.window.weights(length))}
{table_c("int16_t", f"{function}_sine", sine_table(size))}
static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    hwkd_complex *x = (hwkd_complex *)to;
    (void)channel;
    hwkd_first_level(from, {function}_window, {length}, x, {points});
    hwkd_levels(x, {points}, {2 if _has_pairs(points) else 4}, {function}_sine, {size});
    hwkd_powers(x, {points}, {function}_sine, {SHIFT});
}}
"""
        return CCode(
            text=text, table_bytes=2 * (length + size), headers=("hwkd_rfft.h", "hwkd_powers.h")
        )

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return groups of the first level, butterflies of the others and pairs; see `RowStep`."""
        points, rows = self.spectrum.size // 2, math.prod(shape[:-1])
        work = self.spectrum.work((*shape[:-1], self.spectrum.size))
        plain = work["rfft.plain"] - rows * points // 4
        return {
            "powers.first": float(rows * points // (2 if _has_pairs(points) else 4)),
            "powers.pair": float(rows * points // 2),
            "rfft.turned": work["rfft.turned"],
            "rfft.plain": plain,
        }


def _has_pairs(points: int) -> bool:
    """Return whether the first level is one of pairs: no power of four is so many points."""
    return points.bit_length() % 2 == 0


def fused(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return steps that give the same, with those in one that C does in one go."""
    found: list[Step] = []
    for step in steps:
        found.append(step)
        if len(found) < 4:
            continue
        cut, window, spectrum, power = found[-4:]
        if (
            isinstance(cut, Frames)
            and isinstance(window, Window)
            and isinstance(spectrum, RealSpectrum)
            and isinstance(power, Power)
            and cut.length % 2 == 0
            and 2 * cut.length > spectrum.size >= 16
        ):
            found[-3:] = [FramePowers(window=window, spectrum=spectrum)]
    return tuple(found)
