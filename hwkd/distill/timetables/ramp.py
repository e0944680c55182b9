"""How fast a weight grows."""

from __future__ import annotations

import math


def sigmoid_ramp(position: float, length: float) -> float:
    """Return exp(-5 (1 - position / length)^2), 1 from `length` on.

    The ratio is to the length of the ramp. A public code divides by the weight instead, which
    turns distillation off for almost all of the ramp.

    Args:
        position: epochs, or a share of the training; at least 0.
        length: in the same unit; 0 is no ramp.
    """
    if length <= 0:
        return 1.0
    return math.exp(-5.0 * (1.0 - min(position / length, 1.0)) ** 2)


def grows_from(done_ratio: float, begins: float) -> float:
    """Return 0 before a share of the training, and 1 after it."""
    return 0.0 if done_ratio < begins else 1.0


def ends_at(done_ratio: float, end: float) -> float:
    """Return 1 before a share of the training, and 0 after it."""
    return 1.0 if done_ratio < end else 0.0


def critical_period(done_ratio: float, fading: float) -> float:
    """Return exp(- fading * share of the training): most at its start.

    Source:
        Critical periods of Passalis et al. 2020, arXiv:2005.00727, there 0.9 to the epoch.
    """
    return math.exp(-fading * done_ratio)


def past_share(epoch: int, epochs: int, last: float) -> float:
    """Return the share of the past self in the target: last (e + 1) / E, e from 0.

    Source:
        PS-KD, Kim et al. 2021, arXiv:2006.12000.
    """
    return last * (epoch + 1) / epochs


def averaging_decay(step: int, decay: float) -> float:
    """Return min(1 - 1 / (s + 1), decay) of step s from 0: the first update copies.

    Source:
        Mean teacher, Tarvainen and Valpola 2017, arXiv:1703.01780.
    """
    return min(1.0 - 1.0 / (step + 1), decay)
