"""Energy as a band, and of a day, by hand."""

import pytest

from hwkd.core.device import Runtime
from hwkd.core.errors import ConfigError
from hwkd.core.measure import LatencyEstimate
from hwkd.cost.energy import DutyCycle, daily_energy, energy_band

LATENCY = LatencyEstimate(value_s=0.1, low_s=0.08, high_s=0.15, basis="estimated")


def runtime(**fields: object) -> Runtime:
    sources = {"active_power_w": "by hand"}
    return Runtime.model_validate(
        {"name": "r", "version": "1", "active_power_w": 0.02, "sources": sources, **fields}
    )


def test_a_band_is_the_latency_s_interval_times_the_range_of_the_power() -> None:
    band = energy_band(0.002, LATENCY, runtime(active_power_range_w=(0.018, 0.024)))
    assert band.low_j == pytest.approx(0.018 * 0.08)
    assert band.high_j == pytest.approx(0.024 * 0.15)


def test_one_published_power_leaves_the_band_to_the_latency() -> None:
    band = energy_band(0.002, LATENCY, runtime())
    assert (band.low_j, band.high_j) == pytest.approx((0.0016, 0.003))


def test_a_day_is_inferences_and_sleep_in_what_is_left_of_each_period() -> None:
    band = energy_band(0.002, LATENCY, runtime())
    day = daily_energy(band, LATENCY, DutyCycle(period_s=10, sleep_power_w=1e-5))
    assert day.value_j == pytest.approx(8640 * (0.002 + 1e-5 * 9.9))
    assert day.low_j == pytest.approx(8640 * (0.0016 + 1e-5 * 9.92))
    assert day.high_j == pytest.approx(8640 * (0.003 + 1e-5 * 9.85))


def test_a_period_shorter_than_an_inference_may_take_is_refused() -> None:
    band = energy_band(0.002, LATENCY, runtime())
    with pytest.raises(ConfigError, match=r"--period 0\.12 s: one inference takes up to 0\.15 s"):
        daily_energy(band, LATENCY, DutyCycle(period_s=0.12, sleep_power_w=1e-5))
