"""Spectra over time, for sounds and vibrations: `log-mel` and `mfcc`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from hwkd.core.catalog import FEATURES
from hwkd.core.errors import ConfigError
from hwkd.signals.features import checked_signal, filters
from hwkd.signals.step import Shape, Step
from hwkd.signals.steps.channels import Channels, Picture
from hwkd.signals.steps.cosine import Cosine
from hwkd.signals.steps.delta import Delta
from hwkd.signals.steps.frames import Frames
from hwkd.signals.steps.log import Log
from hwkd.signals.steps.mel import Mel
from hwkd.signals.steps.pcen import EnergyNormalisation
from hwkd.signals.steps.power import Magnitude, Power
from hwkd.signals.steps.rfft import RealSpectrum
from hwkd.signals.steps.window import SHAPES, Window

_SMALLEST_SPECTRUM, _LARGEST_SPECTRUM = 16, 4096
# Power in the units of `Power` that lies about 15 dB over the noise of 16 bits.
_FLOOR = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spectra:
    """What both have in common.

    Attributes:
        window_s: length of a frame.
        stride_s: from one frame to the next.
        bins: filters on the mel scale.
        low_hz: where the first begins.
        high_hz: where the last ends; more than half the rate is half the rate.
        shape: of the window: hann, hamming or none.
        magnitude: sum magnitudes instead of powers.
        delta: also how fast each value changes.
        decimate: keep one of so many samples before.
        picture: one plane for each channel instead of one channel for each value.
        rate_hz: samples per second, where the data does not say.
    """

    window_s: float = 0.03
    stride_s: float = 0.02
    bins: int = 40
    low_hz: float = 20.0
    high_hz: float = 8000.0
    shape: str = "hann"
    magnitude: bool = False
    delta: bool = False
    decimate: int = 1
    picture: bool = False
    rate_hz: float = 0.0

    def settings(self) -> tuple[Self, ...]:
        """Return all or half the filters, of frames as given, without overlap or twice as long."""
        frames = (
            (self.window_s, self.stride_s),
            (self.window_s, self.window_s),
            (2 * self.window_s, 2 * self.stride_s),
        )
        return tuple(
            replace(self, bins=bins, window_s=window_s, stride_s=stride_s)
            for bins in (self.bins, max(1, self.bins // 2))
            for window_s, stride_s in frames
        )

    def filters(self, shape: Shape, rate_hz: float | None, name: str) -> tuple[Step, ...]:
        """Return the steps up to the filters' sums.

        Raises:
            ConfigError: if a setting does not fit the signal.
        """
        rate = checked_signal(shape, rate_hz, self.rate_hz, name)
        before, rate = filters(rate, decimate=self.decimate)
        frames = framed(self.window_s, self.stride_s, shape[1] // self.decimate, rate, name)
        if self.shape not in SHAPES:
            raise ConfigError(
                f"--features {name}: shape={self.shape}; expected {', '.join(SHAPES)}"
            )
        size = max(_SMALLEST_SPECTRUM, 1 << (frames.length - 1).bit_length())
        if size > _LARGEST_SPECTRUM:
            raise ConfigError(
                f"--features {name}: a window of {self.window_s:g} s has {frames.length:,} "
                f"samples; at most {_LARGEST_SPECTRUM:,}, or decimate first"
            )
        high = min(self.high_hz, rate / 2)
        if not 1 <= self.bins <= 256 or self.low_hz >= high:
            raise ConfigError(
                f"--features {name}: {self.bins} bins from {self.low_hz:g} to {high:g} Hz; "
                "expected 1 to 256 and a lowest frequency below the highest"
            )
        mel = Mel(bins=self.bins, low_hz=self.low_hz, high_hz=high, rate_hz=rate, size=size)
        mel.plan()
        power: Step = Magnitude() if self.magnitude else Power()
        window = Window(name=self.shape, size=size)
        return (*before, frames, window, RealSpectrum(size=size), power, mel)

    def ordered(self) -> tuple[Step, ...]:
        """Return what follows the values of a frame."""
        return (Delta(), Channels()) if self.delta else (Channels(),)

    def after(self, shape: Shape) -> tuple[Step, ...]:
        """Return what follows the standardised features; see `Features.after`."""
        return (Picture(planes=shape[0]),) if self.picture else ()


@FEATURES.register("log-mel")
@dataclass(frozen=True, slots=True, kw_only=True)
class LogMel(_Spectra):
    """Logarithms of mel filters' energies; `pcen=yes` normalises each by its recent energy.

    Attributes:
        pcen: instead of the logarithm.
    """

    pcen: bool = False

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return the steps; see `Features.steps`."""
        level: Step = EnergyNormalisation(floor=_FLOOR) if self.pcen else Log(floor=_FLOOR)
        return (*self.filters(shape, rate_hz, "log-mel"), level, *self.ordered())


@FEATURES.register("mfcc")
@dataclass(frozen=True, slots=True, kw_only=True)
class Mfcc(_Spectra):
    """Cepstral coefficients of mel filters.

    Attributes:
        coefficients: of the cosine transform that are kept.
    """

    coefficients: int = 13

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return the steps; see `Features.steps`."""
        if not 1 <= self.coefficients <= self.bins:
            raise ConfigError(
                f"--features mfcc: coefficients={self.coefficients}; expected 1 to {self.bins}, "
                "the number of bins"
            )
        cosine = Cosine(coefficients=self.coefficients)
        before = (*self.filters(shape, rate_hz, "mfcc"), Log(floor=_FLOOR), cosine)
        return (*before, *self.ordered())


def framed(window_s: float, stride_s: float, samples: int, rate_hz: float, name: str) -> Frames:
    """Return frames of a duration.

    Raises:
        ConfigError: if they overlap by nothing, or the signal is shorter than one.
    """
    length, stride = math.floor(window_s * rate_hz + 0.5), math.floor(stride_s * rate_hz + 0.5)
    if not 1 <= stride <= length:
        raise ConfigError(
            f"--features {name}: windows of {window_s:g} s every {stride_s:g} s are {length} "
            f"samples every {stride} at {rate_hz:g} Hz; expected at least one sample, and no gaps"
        )
    if samples < length:
        raise ConfigError(
            f"--features {name}: a window has {length:,} samples, the signals {samples:,} "
            f"({samples / rate_hz:.3g} s); take a shorter window or longer signals"
        )
    return Frames(length=length, stride=stride)
