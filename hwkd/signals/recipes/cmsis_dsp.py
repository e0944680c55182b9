"""Features by Arm's CMSIS-DSP, for firmware that has it already: `cmsis-dsp`."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.catalog import FEATURES
from hwkd.core.errors import ConfigError
from hwkd.signals.cmsis_dsp import sources, wrapper
from hwkd.signals.features import NothingAfter, checked_signal
from hwkd.signals.recipes.spectra import framed
from hwkd.signals.step import Shape, Step
from hwkd.signals.steps.channels import Channels
from hwkd.signals.steps.cmsis_mfcc import CmsisMfcc

_SIZES = (32, 4096)


@FEATURES.register("cmsis-dsp")
@dataclass(frozen=True, slots=True, kw_only=True)
class CmsisDsp(NothingAfter):
    """Arm's `arm_mfcc_q15`, by its Python package here and its C sources in firmware.

    Attributes:
        window_s: length of a frame.
        stride_s: from one frame to the next.
        bins: filters on the mel scale.
        coefficients: of the cosine transform that are kept.
        low_hz: where the first filter begins.
        high_hz: where the last ends; more than half the rate is half the rate.
        rate_hz: samples per second, where the data does not say.
    """

    window_s: float = 0.03
    stride_s: float = 0.02
    bins: int = 20
    coefficients: int = 13
    low_hz: float = 20.0
    high_hz: float = 8000.0
    rate_hz: float = 0.0

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return the steps; see `Features.steps`."""
        rate = checked_signal(shape, rate_hz, self.rate_hz, "cmsis-dsp")
        frames = framed(self.window_s, self.stride_s, shape[1], rate, "cmsis-dsp")
        size, high = max(_SIZES[0], 1 << (frames.length - 1).bit_length()), self.high_hz
        high = min(high, rate / 2)
        if size > _SIZES[1]:
            raise ConfigError(
                f"--features cmsis-dsp: a window of {self.window_s:g} s has {frames.length:,} "
                f"samples; at most {_SIZES[1]:,}"
            )
        if not 1 <= self.coefficients <= self.bins <= 256 or self.low_hz >= high:
            raise ConfigError(
                f"--features cmsis-dsp: {self.coefficients} coefficients of {self.bins} bins from "
                f"{self.low_hz:g} to {high:g} Hz; expected 1 to 256 bins, no more coefficients "
                "than bins and a lowest frequency below the highest"
            )
        mfcc = CmsisMfcc(
            length=frames.length, size=size, bins=self.bins, coefficients=self.coefficients,
            low_hz=self.low_hz, high_hz=high, rate_hz=rate,
        )  # fmt: skip
        mfcc.tables()
        # Before hours of training: what training and export need.
        wrapper()
        sources()
        return (frames, mfcc, Channels())
