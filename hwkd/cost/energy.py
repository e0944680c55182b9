"""Energy of one inference: published power times estimated time, or nothing at all."""

from __future__ import annotations

from hwkd.core.device import Device, Runtime
from hwkd.core.measure import LatencyEstimate


def estimate_energy_j(
    device: Device, runtime: Runtime, latency: LatencyEstimate | None, clock_hz: float
) -> float | None:
    """Return joules of one inference; None where no power was published for this clock.

    Args:
        device: its default clock is the one that `active_power_w` was measured at.
        runtime: gives the power.
        latency: estimated at `clock_hz`.
        clock_hz: clock of the estimate.
    """
    if latency is None or runtime.active_power_w is None or clock_hz != device.clock_hz:
        return None
    return runtime.active_power_w * latency.value_s
