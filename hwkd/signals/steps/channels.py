"""Order of features: every value of a row becomes a channel, then maybe a row of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import STEPS
from hwkd.signals.step import Count, Shape


@STEPS.register("channels")
@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """[channels, frames, values] becomes [channels x values, frames], which is a signal again."""

    kind: ClassVar[str] = "channels"
    formula: ClassVar[str] = "one channel for each value of a frame"

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return [n, channels * values, frames]."""
        count, channels, frames, size = values.shape
        swapped = np.ascontiguousarray(values.transpose(0, 1, 3, 2))
        return swapped.reshape(count, channels * size, frames)

    def output_shape(self, shape: Shape) -> Shape:
        """Return channels and frames."""
        channels, frames, values = shape
        return channels * values, frames


@STEPS.register("picture")
@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """[planes x height, width] becomes [planes, height, width]: nothing moves.

    Attributes:
        planes: >= 1.
    """

    kind: ClassVar[str] = "picture"
    formula: ClassVar[str] = "as a picture"
    python: ClassVar[str] = """\
values = values.reshape(len(values), int(step["planes"]), -1, values.shape[-1])
"""

    planes: Count

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return [n, planes, height, width]."""
        return values.reshape(len(values), self.planes, -1, values.shape[-1])

    def output_shape(self, shape: Shape) -> Shape:
        """Return planes, height and width."""
        rows, width = shape
        if rows % self.planes:
            raise ValueError(f"{self.planes} planes of {rows} rows")
        return self.planes, rows // self.planes, width
