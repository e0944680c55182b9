"""Timing samples into the numbers that are reported; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingSummary:
    """Robust summary of repeated timings, seconds."""

    median_s: float
    p90_s: float
    spread_s: float


def summarise(samples_s: Sequence[float]) -> TimingSummary:
    """Return median, 90th percentile and interquartile range of at least one sample."""
    if not samples_s:
        raise ValueError("no samples to summarise")
    p25, p50, p75, p90 = np.percentile(np.asarray(samples_s, dtype=np.float64), [25, 50, 75, 90])
    return TimingSummary(median_s=float(p50), p90_s=float(p90), spread_s=float(p75 - p25))
