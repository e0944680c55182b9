"""Quantities with units as a person types them: `20ms`, `128KiB`, `216MHz`, `1mJ`, `10min`.

A bare number is refused: "20" as a latency has been read as seconds and as milliseconds, and a
search of an hour was wasted each time. KiB is 1024 bytes, kB is 1000.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TypeAlias

from hwkd.core.errors import ConfigError

# What a duration may be given as; text as on the command line.
Duration: TypeAlias = str | timedelta

_DURATION = MappingProxyType(
    {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
)
_BYTES = MappingProxyType(
    {
        "B": 1.0,
        "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
        "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3,
    }
)  # fmt: skip
_ENERGY = MappingProxyType({"nJ": 1e-9, "uJ": 1e-6, "µJ": 1e-6, "mJ": 1e-3, "J": 1.0})
_POWER = MappingProxyType({"nW": 1e-9, "uW": 1e-6, "µW": 1e-6, "mW": 1e-3, "W": 1.0})
_FREQUENCY = MappingProxyType({"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9})
# Outside of these a clock, or the rate of a sensor's or a microphone's samples, is a slip of the
# unit.
SLOWEST_CLOCK_HZ, FASTEST_CLOCK_HZ = 1e6, 10e9
SLOWEST_SAMPLES_HZ, FASTEST_SAMPLES_HZ = 0.01, 1e6
_QUANTITY = re.compile(
    r"\s*([0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\s*([A-Za-zµ]*)\s*"
)


def parse_duration_s(given: Duration, *, option: str) -> float:
    """Return seconds from text such as `20ms`; `option` names the place in the error."""
    text = duration_text(given) if isinstance(given, timedelta) else given
    return _parse(text, _DURATION, option=option, example="20ms")


def duration_text(given: timedelta) -> str:
    """Return a duration as text that gives the same seconds back."""
    return f"{given.total_seconds()!r}s"


def times_text(ratio: float) -> str:
    """Return how many times as much something is, without an exponent: `1.25`, `291`, `12,300`."""
    return f"{float(f'{ratio:.3g}'):,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def parse_bytes(text: str, *, option: str) -> int:
    """Return bytes from text such as `128KiB` (1024) or `20kB` (1000)."""
    count = round(_parse(text, _BYTES, option=option, example="128KiB"))
    if count < 1:
        raise ConfigError(f"{option}: {text!r} is less than one byte, for example 128KiB")
    return count


def parse_energy_j(text: str, *, option: str) -> float:
    """Return joules from text such as `1mJ`."""
    return _parse(text, _ENERGY, option=option, example="1mJ")


def parse_power_w(text: str, *, option: str) -> float:
    """Return watts from text such as `10uW`."""
    return _parse(text, _POWER, option=option, example="10uW")


def parse_frequency_hz(text: str, *, option: str) -> float:
    """Return hertz from text such as `216MHz`."""
    return _parse(text, _FREQUENCY, option=option, example="216MHz")


def parse_clock_hz(text: str, *, option: str) -> float:
    """Return hertz from text such as `216MHz`, of a processor's clock."""
    value = parse_frequency_hz(text, option=option)
    if not SLOWEST_CLOCK_HZ <= value <= FASTEST_CLOCK_HZ:
        raise ConfigError(
            f"{option}: {text!r} is no processor's clock; expected 1MHz to 10GHz, for example "
            "216MHz"
        )
    return value


def parse_sample_rate_hz(text: str, *, option: str) -> float:
    """Return hertz from text such as `16kHz`, of samples."""
    value = _parse(text, _FREQUENCY, option=option, example="16kHz")
    if not SLOWEST_SAMPLES_HZ <= value <= FASTEST_SAMPLES_HZ:
        raise ConfigError(
            f"{option}: {text!r} is no rate of samples; expected 0.01Hz to 1MHz, for example 50Hz "
            "or 16kHz"
        )
    return value


def _parse(text: str, units: Mapping[str, float], *, option: str, example: str) -> float:
    allowed = ", ".join(units)
    # Keyboards type the Greek letter (U+03BC) where the micro sign (U+00B5) is meant.
    match = _QUANTITY.fullmatch(text.replace("\u03bc", "\u00b5"))
    if match is None:
        raise ConfigError(f"{option}: cannot read {text!r}; write number and unit, as {example}")
    number, unit = match.groups()
    if not unit:
        raise ConfigError(
            f"{option}: {text!r} has no unit; write one of {allowed}, for example {example}"
        )
    if unit not in units:
        raise ConfigError(f"{option}: unit {unit!r} is not one of {allowed}; for example {example}")
    value = float(number) * units[unit]
    if value <= 0 or math.isinf(value):
        raise ConfigError(
            f"{option}: {text!r} must be more than 0 and finite, for example {example}"
        )
    return value
