"""How firmware listens: how often it infers, what it takes the mean of, and when it speaks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hwkd.core.decision_record import DecisionRecord

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
        label: that is listened for; None takes the likeliest.
    """

    stride: int
    smoothing: int = 3
    threshold: int = 700
    label: int | None = None


def usual_stride(window: int, grid: int = 1) -> int:
    """Return the stride where nobody says: about a quarter of a window.

    Args:
        window: samples that one inference sees.
        grid: what it is a multiple of: from one frame of features to the next.
    """
    return max(1, window // _STRIDES // grid) * grid


def listen_rule(
    window: int, grid: int, decision: DecisionRecord | None, labels: Sequence[str]
) -> ListenRule:
    """Return when a label counts as heard, where nobody says: as was chosen on validation.

    Args:
        window: samples that one inference sees.
        grid: see `usual_stride`.
        decision: None of a student without one.
        labels: names of the outputs.
    """
    usual = ListenRule(stride=usual_stride(window, grid))
    if decision is None:
        return usual
    threshold = round(WHOLE * decision.threshold)
    if decision.stride is None or decision.smoothing is None:
        return replace(usual, threshold=threshold)
    return ListenRule(
        stride=decision.stride,
        smoothing=decision.smoothing,
        threshold=threshold,
        label=labels.index(decision.answer) if decision.answer in labels else None,
    )


def power_factor(output_scale: float) -> int:
    """Return what makes a step of the outputs a power of two, see `hwkd_exp2` in the C."""
    return round(output_scale * math.log2(math.e) * _POWER_STEPS * FACTOR_STEPS)
