"""Adds up a spectrum in overlapping triangles, evenly spaced as people hear pitch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.core.errors import ConfigError
from hwkd.signals.step import CCode, Hertz, Shape, require_sizes, table_c


def _mel(hertz: float) -> float:
    return 2595.0 * math.log10(1.0 + hertz / 700.0)


def _hertz(mel: float) -> float:
    return 700.0 * (math.pow(10.0, mel / 2595.0) - 1.0)


@STEPS.register("mel")
@dataclass(frozen=True, slots=True, kw_only=True)
class Mel:
    """Triangular filters whose peaks are 1 and whose corners lie evenly on the mel scale.

    A frequency between two corners belongs to the filters that fall and rise there, and its weights
    add up to 1: one product gives both.

    Attributes:
        bins: number of filters, >= 1.
        low_hz: first corner, >= 0.
        high_hz: last corner, at most half the sampling rate.
        rate_hz: sampling rate.
        size: of the spectrum's frames.

    Source:
        Davis and Mermelstein 1980; the scale is that of the HTK book: 2595 log10(1 + f / 700).
    """

    kind: ClassVar[str] = "mel"
    formula: ClassVar[str] = "sums of powers under triangles on the mel scale"
    details: ClassVar[str] = (
        "f Hz is 2595 log10(1 + f / 700) mel (HTK, not Slaney); bins + 2 corners lie evenly in mel "
        "from low_hz to high_hz, each triangle is 1 at its peak, and value k of the spectrum is at "
        "k * rate_hz / size"
    )
    in_place: ClassVar[bool] = False
    words: ClassVar[int] = 2

    bins: Annotated[int, Field(ge=1, le=1024)]
    low_hz: Hertz
    high_hz: Hertz
    rate_hz: Annotated[Hertz, Field(gt=0.0)]
    size: Annotated[int, Field(ge=8, le=2**15)]

    def plan(self) -> tuple[int, list[int], list[int]]:
        """Return the first frequency, frequencies between each two corners and rising weights.

        Raises:
            ConfigError: if a filter holds no frequency of the spectrum.
        """
        low, high = _mel(self.low_hz), _mel(self.high_hz)
        spacing = (high - low) / (self.bins + 1)
        corners = [_hertz(low + spacing * i) for i in range(self.bins + 2)]
        counts, weights, first = [0] * (self.bins + 1), [], None
        for k in range(self.size // 2 + 1):
            hertz = k * self.rate_hz / self.size
            if not corners[0] <= hertz < corners[-1]:
                continue
            first = k if first is None else first
            piece = max(i for i in range(self.bins + 1) if corners[i] <= hertz)
            rise = (hertz - corners[piece]) / (corners[piece + 1] - corners[piece])
            counts[piece] += 1
            weights.append(round(32768 * rise))
        empty = [i for i, (a, b) in enumerate(itertools.pairwise(counts)) if a + b == 0]
        if empty or first is None:
            raise ConfigError(
                f"mel filter {1 + (empty or [0])[0]} of {self.bins} holds none of the frequencies, "
                f"which lie {self.rate_hz / self.size:.3g} Hz apart; take fewer bins, a longer "
                "window or a higher lowest frequency"
            )
        return first, counts, weights

    def apply(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Return int64 [..., bins] of int64 [..., frequencies]."""
        first, counts, weights = self.plan()
        powers = values[..., first : first + len(weights)]
        rising = (powers * np.array(weights, np.int64)) >> 15
        ends = np.cumsum([0, *counts])

        def pieces(parts: NDArray[np.int64]) -> NDArray[np.int64]:
            sums = np.zeros((*parts.shape[:-1], parts.shape[-1] + 1), np.int64)
            np.cumsum(parts, axis=-1, out=sums[..., 1:])
            return np.diff(sums[..., ends], axis=-1)

        found: NDArray[np.int64] = pieces(rising)[..., :-1] + pieces(powers - rising)[..., 1:]
        return found

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with one value for each filter."""
        require_sizes((shape[-1],), self.size // 2 + 1, what="frequencies")
        return (*shape[:-1], self.bins)

    def row_c(self, function: str, *, c_type: str, shape: Shape) -> CCode:
        """Return the same in C; see `RowStep`."""
        del shape
        first, counts, weights = self.plan()
        text = f"""{table_c("uint16_t", f"{function}_counts", counts)}
{table_c("uint16_t", f"{function}_weights", weights)}
static void {function}(const {c_type} *from, int32_t *to, int32_t channel)
{{
    const uint16_t *weights = {function}_weights;
    uint64_t before = 0;
    (void)channel;
    from += {2 * first};
    for (int32_t piece = 0; piece <= {self.bins}; ++piece) {{
        const int32_t count = {function}_counts[piece];
        const hwkd_piece sums = hwkd_mel_piece(from, weights, count);
        if (piece > 0)
            hwkd_store64(to + 2 * (piece - 1), before + sums.whole - sums.rising);
        before = sums.rising;
        from += 2 * count;
        weights += count;
    }}
}}
"""
        return CCode(
            text=text, table_bytes=2 * (len(counts) + len(weights)), headers=("hwkd_mel.h",)
        )

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return frequencies and filters; see `RowStep`."""
        rows = math.prod(shape[:-1])
        return {
            "mel.frequency": float(rows * len(self.plan()[2])),
            "mel.bin": float(rows * self.bins),
        }
