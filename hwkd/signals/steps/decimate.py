"""Keeps one sample of several, after a filter that takes out what those could not tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.signals.fixed import saturate
from hwkd.signals.step import CCode, Shape, table_c

_TAPS_PER_FACTOR = 16
# Of the new rate; its half is where mirrored frequencies begin.
_CUT_OFF = 0.42


@STEPS.register("decimate")
@dataclass(frozen=True, slots=True, kw_only=True)
class Decimate:
    """Every so-manieth sample of a low-pass filtered signal; before its start lies silence.

    A sinc under a Hamming window, 16 taps for each sample that is left out, in steps of 1/32768
    that add up to 1.

    Attributes:
        factor: of samples that one remains of, 2 to 16.
    """

    kind: ClassVar[str] = "decimate"
    formula: ClassVar[str] = "low-pass filter of linear phase, then every factor-th sample"

    factor: Annotated[int, Field(ge=2, le=16)]

    def taps(self) -> NDArray[np.int64]:
        """Return the filter in steps of 1/32768, an odd number of taps."""
        half = _TAPS_PER_FACTOR * self.factor // 2
        cut_off = _CUT_OFF / self.factor
        real = [
            (2 * cut_off if i == 0 else math.sin(2 * math.pi * cut_off * i) / (math.pi * i))
            * (0.54 + 0.46 * math.cos(math.pi * i / half))
            for i in range(-half, half + 1)
        ]
        whole = np.array([round(32768 * one / sum(real)) for one in real], np.int64)
        whole[half] += 32768 - whole.sum()
        return whole

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 [n, channels, time / factor] of int16 signals."""
        taps = self.taps()
        padded = np.pad(values.astype(np.int32), ((0, 0), (0, 0), (len(taps) - 1, 0)))
        outputs = values.shape[2] // self.factor
        sums = np.full((*values.shape[:2], outputs), 16384, np.int32)
        for i, tap in enumerate(taps.astype(np.int32)):
            sums += tap * padded[:, :, i : i + outputs * self.factor : self.factor]
        return saturate(sums >> 15)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with as many samples as remain."""
        return shape[0], shape[1] // self.factor

    def stream_c(self, function: str, *, channels: int, most: int) -> CCode:
        """Return the same in C; see `StreamStep`."""
        taps, line = self.taps(), f"{function}_line"
        kept = len(taps) - 1
        text = f"""{table_c("int16_t", f"{function}_taps", taps)}
static int16_t {line}[{channels}][{kept + most}];

static void {function}(const int16_t *from, int32_t apart,
    int16_t *to, int32_t to_apart, int32_t count)
{{
    for (int32_t channel = 0; channel < {channels}; ++channel) {{
        int16_t *line = {line}[channel];
        memcpy(line + {kept}, from + channel * apart, 2 * (size_t)count);
        for (int32_t t = 0; t < count; t += {self.factor}) {{
            const int32_t sum = hwkd_filtered(line + t, {function}_taps, {len(taps)}, 16384);
            to[channel * to_apart + t / {self.factor}] = (int16_t)hwkd_to_int16(sum >> 15);
        }}
        memmove(line, line + count, {2 * kept});
    }}
}}
"""
        return CCode(
            text=text,
            reset=f"memset({line}, 0, sizeof {line});",
            state_bytes=2 * channels * (kept + most),
            table_bytes=2 * len(taps),
            headers=("hwkd_filter.h",),
        )

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return products and samples; see `StreamStep`."""
        outputs = math.prod(self.output_shape(shape))
        return {
            "decimate.product": float(outputs * len(self.taps())),
            "decimate.sample": float(outputs),
        }
