"""Energy of one inference and of a day of them: published power times estimated time, or nothing.

Every energy is a band: the ends of the latency's interval times the ends of the published power.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.device import Device, Runtime
from hwkd.core.errors import ConfigError
from hwkd.core.measure import LatencyEstimate

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyBand:
    """Joules, most likely and at the ends of the 90% interval."""

    value_j: float
    low_j: float
    high_j: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCycle:
    """One inference every so often, and sleep between them.

    Attributes:
        sleep_power_w: of the whole board between them.
    """

    period_s: float
    sleep_power_w: float


def estimate_energy_j(
    device: Device, runtime: Runtime, latency: LatencyEstimate | None, clock_hz: float
) -> float | None:
    """Return joules of one inference; None where no power was published for this clock.

    Args:
        device: its default clock is the one that `active_power_w` was measured at.
        latency: estimated at `clock_hz`.
        clock_hz: clock of the estimate.
    """
    if latency is None or runtime.active_power_w is None or clock_hz != device.clock_hz:
        return None
    return runtime.active_power_w * latency.value_s


def energy_band(energy_j: float, latency: LatencyEstimate, runtime: Runtime) -> EnergyBand:
    """Return the band of an energy that is known.

    Args:
        runtime: whose power has a range where more than one row was published.
    """
    power_w = runtime.active_power_w or energy_j / latency.value_s
    low_w, high_w = runtime.active_power_range_w or (power_w, power_w)
    return EnergyBand(value_j=energy_j, low_j=low_w * latency.low_s, high_j=high_w * latency.high_s)


def daily_energy(band: EnergyBand, latency: LatencyEstimate, duty: DutyCycle) -> EnergyBand:
    """Return joules of a day with one inference in each period and sleep in what is left of it.

    Raises:
        ConfigError: if an inference may take longer than a period.
    """
    if latency.high_s > duty.period_s:
        raise ConfigError(
            f"--period {duty.period_s:g} s: one inference takes up to {latency.high_s:.3g} s; "
            "give a longer period"
        )
    inferences = _DAY_S / duty.period_s
    ends = zip(
        (band.value_j, band.low_j, band.high_j),
        (latency.value_s, latency.low_s, latency.high_s),
        strict=True,
    )
    value_j, low_j, high_j = (
        inferences * (energy_j + duty.sleep_power_w * (duty.period_s - time_s))
        for energy_j, time_s in ends
    )
    # A board that takes more asleep than awake spends less where inferences take longer.
    return EnergyBand(value_j=value_j, low_j=min(low_j, high_j), high_j=max(low_j, high_j))
