"""How firmware listens: how often it infers, what it takes the mean of, and when it speaks."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Of a window, where nobody says: four inferences for each.
_STRIDES = 4
# Probabilities in C are thousandths.
WHOLE = 1000
# 2^x is tabled in steps of 1/512 of x, and the factor has 16 bits of fraction.
_POWER_STEPS, FACTOR_STEPS = 512, 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameForm:
    """Features that each follow from one frame of samples alone, so that firmware may keep them.

    Attributes:
        length: samples of a frame.
        stride: samples to the next.
        count: frames of a window.
        values: features of a frame, of all channels.
    """

    length: int
    stride: int
    count: int
    values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenRule:
    """When a label counts as heard.

    Attributes:
        stride: samples of a channel from one inference to the next, 1 to a window.
        smoothing: inferences whose mean probability is taken, at least 1.
        threshold: that the mean must reach, in thousandths.
    """

    stride: int
    smoothing: int = 3
    threshold: int = 700


def usual_stride(window: int, grid: int = 1) -> int:
    """Return the stride where nobody says: about a quarter of a window.

    Args:
        window: samples that one inference sees.
        grid: what it is a multiple of: from one frame of features to the next.
    """
    return max(1, window // _STRIDES // grid) * grid


def power_factor(output_scale: float) -> int:
    """Return what makes a step of the outputs a power of two, see `hwkd_exp2` in the C."""
    return round(output_scale * math.log2(math.e) * _POWER_STEPS * FACTOR_STEPS)
