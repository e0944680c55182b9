"""Brings every channel to mean 0 and deviation 1, in double precision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.signals.step import Finite, Shape, require_sizes


@STEPS.register("normalise")
@dataclass(frozen=True, slots=True, kw_only=True)
class Normalise:
    """Brings every channel to mean 0 and deviation 1, in double precision.

    Single precision would lose a small signal on a large offset.

    Attributes:
        mean: one per channel, in the units of the raw data, from the train split alone.
        std: one per channel, in the same units, > 0.
    """

    kind: ClassVar[str] = "normalise"
    formula: ClassVar[str] = "(raw - mean) / std, per channel"
    python: ClassVar[str] = """\
mean, std = (np.reshape(step[k], (1, -1, *[1] * (values.ndim - 2))) for k in ("mean", "std"))
values = (values - mean) / std
"""

    mean: tuple[Finite, ...]
    std: tuple[Annotated[Finite, Field(gt=0.0)], ...]

    @classmethod
    def of(cls, mean: tuple[float, ...], std: tuple[float, ...]) -> Normalise:
        """Return the step for values of a mean and deviation, one each for every channel."""
        return cls(mean=mean, std=std)

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Subtract and divide; values that float32 cannot hold become infinite."""
        channels = (1, -1, *(1,) * (values.ndim - 2))
        centred = values.astype(np.float64) - np.reshape(self.mean, channels)
        with np.errstate(over="ignore"):
            scaled = np.divide(centred, np.reshape(self.std, channels), out=centred)
            result: NDArray[np.float32] = scaled.astype(np.float32)
        return result

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape as it is."""
        require_sizes((len(self.mean), len(self.std)), shape[0], what="channels")
        return shape

    def to_c(self, function: str, *, c_type: str, shape: Shape, put: str) -> str:
        """Return the same arithmetic in C."""
        channels = len(self.mean)
        return f"""static void {function}(const {c_type} *from)
{{
    static const double mean[{channels}] = {{{_doubles(self.mean)}}};
    static const double std[{channels}] = {{{_doubles(self.std)}}};
    int32_t i = 0;
    for (int channel = 0; channel < {channels}; ++channel)
        for (int32_t end = i + {math.prod(shape[1:])}; i < end; ++i)
            {put}(i, (float)(((double)from[i] - mean[channel]) / std[channel]));
}}
"""


def _doubles(values: tuple[float, ...]) -> str:
    # The shortest decimal that gives the same double back, in C as in Python.
    return ", ".join(repr(float(value)) for value in values)
