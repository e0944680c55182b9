"""Energy of one inference: published power times estimated time, or nothing at all."""

from __future__ import annotations

from hwkd.core.device import Runtime
from hwkd.core.measure import LatencyEstimate

__all__ = ["estimate_energy_j"]


def estimate_energy_j(runtime: Runtime, latency: LatencyEstimate | None) -> float | None:
    """Return joules of one inference; None where no power was published or time is unknown.

    Args:
        runtime: its `active_power_w` was measured at the board's default clock.
        latency: estimated at that clock.
    """
    if latency is None or runtime.active_power_w is None:
        return None
    return runtime.active_power_w * latency.value_s
