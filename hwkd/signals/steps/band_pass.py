"""Lets a band of frequencies pass: sections of second order in a row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import STEPS
from hwkd.core.errors import ConfigError
from hwkd.signals.fixed import saturate
from hwkd.signals.step import CCode, Int32, Shape, table_c

# Fraction of factors, and of a section's samples.
_FACTOR_BITS, _SAMPLE_BITS = 29, 8
_LIMIT = 2**27
_ORDER = 2


@STEPS.register("band-pass")
@dataclass(frozen=True, slots=True, kw_only=True)
class BandPass:
    """A Butterworth filter of second order, as whole numbers; it starts at rest.

    Sections hold samples in steps of 1/256, within 2^27, and factors in steps of 2^-29, so that a
    band that begins at a thousandth of the rate is where it should be. What rounding leaves over
    goes into the next sample: poles near 1 would make an offset of it.

    Attributes:
        factors: b0, b1, b2, a1, a2 of each section in turn, in steps of 2^-29; a0 is 1.
    """

    kind: ClassVar[str] = "band-pass"
    formula: ClassVar[str] = "sections b0 x[t] + b1 x[t-1] + b2 x[t-2] - a1 y[t-1] - a2 y[t-2]"
    factor: ClassVar[int] = 1

    factors: tuple[Int32, ...]

    @classmethod
    def between(cls, low_hz: float, high_hz: float, rate_hz: float) -> BandPass:
        """Return the filter of a band.

        Args:
            low_hz: 3 dB below; 0 is a low-pass filter.
            high_hz: likewise; half the rate or more is a high-pass filter.
            rate_hz: sampling rate.

        Raises:
            ConfigError: if no such band exists.
        """
        from scipy.signal import butter

        if not 0 <= low_hz < min(high_hz, rate_hz / 2) or (low_hz == 0 and high_hz >= rate_hz / 2):
            raise ConfigError(
                f"band of {low_hz:g} to {high_hz:g} Hz: no band within 0 to {rate_hz / 2:g} Hz, "
                "half of the sampling rate"
            )
        if high_hz >= rate_hz / 2:
            sections = butter(_ORDER, low_hz, "highpass", fs=rate_hz, output="sos")
        elif low_hz == 0:
            sections = butter(_ORDER, high_hz, "lowpass", fs=rate_hz, output="sos")
        else:
            sections = butter(_ORDER, (low_hz, high_hz), "bandpass", fs=rate_hz, output="sos")
        chosen = [float(one) for section in sections for one in (*section[:3], *section[4:])]
        return cls(factors=tuple(round(one * 2**_FACTOR_BITS) for one in chosen))

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 signals of int16 signals, same shape."""
        # Time first: each moment is one row of all signals.
        x = np.ascontiguousarray(np.moveaxis(values, 2, 0)).astype(np.int64) << _SAMPLE_BITS
        for start in range(0, len(self.factors), 5):
            x = _section(x, self.factors[start : start + 5])
        rounded = saturate((x + (1 << (_SAMPLE_BITS - 1))) >> _SAMPLE_BITS)
        return np.ascontiguousarray(np.moveaxis(rounded, 0, 2))

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape as it is."""
        if not self.factors or len(self.factors) % 5:
            raise ValueError(f"{len(self.factors)} factors, expected 5 for each section")
        return shape

    def stream_c(self, function: str, *, channels: int, most: int) -> CCode:
        """Return the same in C; see `StreamStep`."""
        del most
        sections, state = len(self.factors) // 5, f"{function}_state"
        text = f"""{table_c("int32_t", f"{function}_factors", self.factors)}
static int32_t {state}[{channels}][{sections}][5];

static void {function}(const int16_t *from, int32_t apart,
    int16_t *to, int32_t to_apart, int32_t count)
{{
    for (int32_t channel = 0; channel < {channels}; ++channel)
        for (int32_t t = 0; t < count; ++t) {{
            const int32_t *factor = {function}_factors;
            int32_t x = (int32_t)from[channel * apart + t] * {1 << _SAMPLE_BITS};
            for (int32_t section = 0; section < {sections}; ++section, factor += 5) {{
                int32_t *past = {state}[channel][section];
                int64_t sum = (int64_t)factor[0] * x + (int64_t)factor[1] * past[0];
                sum += (int64_t)factor[2] * past[1] - (int64_t)factor[3] * past[2];
                sum += past[4] - (int64_t)factor[4] * past[3];
                past[4] = (int32_t)(sum & {2**_FACTOR_BITS - 1});
                sum >>= {_FACTOR_BITS};
                sum = sum > {_LIMIT} ? {_LIMIT} : sum < -{_LIMIT} ? -{_LIMIT} : sum;
                const int32_t y = (int32_t)sum;
                past[1] = past[0];
                past[0] = x;
                past[3] = past[2];
                past[2] = y;
                x = y;
            }}
            to[channel * to_apart + t] =
                (int16_t)hwkd_to_int16((x + {1 << (_SAMPLE_BITS - 1)}) >> {_SAMPLE_BITS});
        }}
}}
"""
        return CCode(
            text=text,
            reset=f"memset({state}, 0, sizeof {state});",
            state_bytes=20 * channels * sections,
            table_bytes=4 * len(self.factors),
        )

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return samples through sections; see `StreamStep`."""
        samples = math.prod(shape)
        return {
            "band-pass.section": float(samples * (len(self.factors) // 5)),
            "band-pass.sample": float(samples),
        }


def _section(x: NDArray[np.int64], factors: tuple[int, ...]) -> NDArray[np.int64]:
    """Return a section's output for samples [time, ...]."""
    b0, b1, b2, a1, a2 = map(int, factors)
    # What does not depend on the output, for all moments at once.
    sums = b0 * x
    sums[1:] += b1 * x[:-1]
    sums[2:] += b2 * x[:-2]
    y = np.zeros((len(x) + 2, *x.shape[1:]), np.int64)
    left = np.zeros(x.shape[1:], np.int64)
    for t in range(len(x)):
        found = sums[t] - a1 * y[t + 1] - a2 * y[t] + left
        left = found & (2**_FACTOR_BITS - 1)
        found >>= _FACTOR_BITS
        np.clip(found, -_LIMIT, _LIMIT, out=y[t + 2])
    return y[2:]
