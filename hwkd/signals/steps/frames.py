"""Cuts signals into frames that overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import STEPS
from hwkd.signals.step import Count, Shape


@STEPS.register("frames")
@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Frames of equal length; what is left at the end and fills none is not used.

    Attributes:
        length: samples of a frame, >= 1.
        stride: samples from one frame to the next, 1 to `length`.
    """

    kind: ClassVar[str] = "frames"
    formula: ClassVar[str] = "frames of samples, one every stride"
    details: ClassVar[str] = "the first begins at sample 0; nothing is padded or centred"

    length: Count
    stride: Count

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return a view of shape [n, channels, frames, length]."""
        windows = np.lib.stride_tricks.sliding_window_view(values, self.length, axis=2)
        return windows[:, :, :: self.stride]

    def output_shape(self, shape: Shape) -> Shape:
        """Return channels, frames, samples."""
        channels, time = shape
        return channels, max(0, (time - self.length) // self.stride + 1), self.length
