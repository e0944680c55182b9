"""Features of accelerometers, gyroscopes and other slow sensors."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwkd.core.catalog import FEATURES
from hwkd.signals.features import NothingAfter, checked_signal, filters
from hwkd.signals.recipes.spectra import framed
from hwkd.signals.step import Shape, Step
from hwkd.signals.steps.channels import Channels
from hwkd.signals.steps.statistics import Statistics
from hwkd.signals.steps.vector import VectorMagnitude


@FEATURES.register("imu")
@dataclass(frozen=True, slots=True, kw_only=True)
class Imu(NothingAfter):
    """Statistics of short windows of every axis and of the length of each three.

    Attributes:
        window_s: length of a window.
        stride_s: from one window to the next.
        magnitude: lengths of vectors beside the axes, of three channels and more.
        statistics: seven numbers of each window; without them the samples go on as they are.
        low_hz: where a band begins that passes; 0 keeps slow changes.
        high_hz: where it ends; 0 keeps fast changes.
        decimate: keep one of so many samples.
        rate_hz: samples per second, where the data does not say.
    """

    window_s: float = 0.4
    stride_s: float = 0.2
    magnitude: bool = True
    statistics: bool = True
    low_hz: float = 0.0
    high_hz: float = 0.0
    decimate: int = 1
    rate_hz: float = 0.0

    def settings(self) -> tuple[Imu, ...]:
        """Return windows as given, half and twice as long, with and without magnitude."""
        return tuple(
            replace(
                self,
                magnitude=magnitude,
                window_s=ratio * self.window_s,
                stride_s=ratio * self.stride_s,
            )
            for magnitude in (self.magnitude, not self.magnitude)
            for ratio in ((1.0, 0.5, 2.0) if self.statistics else (1.0,))
        )

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return the steps; see `Features.steps`."""
        rate = checked_signal(shape, rate_hz, self.rate_hz, "imu", usual="50Hz")
        before, rate = filters(
            rate, decimate=self.decimate, low_hz=self.low_hz, high_hz=self.high_hz
        )
        if self.magnitude and shape[0] >= 3:
            before = (*before, VectorMagnitude())
        if not self.statistics:
            return before
        frames = framed(self.window_s, self.stride_s, shape[1] // self.decimate, rate, "imu")
        return (*before, frames, Statistics(), Channels())
