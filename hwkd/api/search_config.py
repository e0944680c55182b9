"""Options of a search in the terms of its configuration: SI units, whole paths, tables."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from hwkd.core import catalog
from hwkd.core.errors import ConfigError
from hwkd.core.units import parse_bytes, parse_duration_s, parse_energy_j, parse_frequency_hz
from hwkd.io import discovery

__all__ = [
    "default_folder",
    "energy",
    "frequency",
    "registered_spaces",
    "seconds",
    "size",
    "storage",
    "whole_path",
]


def seconds(text: str | None, option: str) -> float | None:
    """Return seconds from "20ms"; None stays None, here and below."""
    return None if text is None else parse_duration_s(text, option=option)


def storage(text: str | None, option: str) -> int | None:
    """Return bytes from "128KiB"."""
    return None if text is None else parse_bytes(text, option=option)


def energy(text: str | None, option: str) -> float | None:
    """Return joules from "1mJ"."""
    return None if text is None else parse_energy_j(text, option=option)


def frequency(text: str | None, option: str) -> float | None:
    """Return hertz from "216MHz"."""
    return None if text is None else parse_frequency_hz(text, option=option)


def size(text: str | None, option: str) -> tuple[int, int] | None:
    """Return (height, width) from "32x32".

    Raises:
        ConfigError: if it is no size.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if match is None:
        raise ConfigError(f"{option}: {text!r} is not HEIGHTxWIDTH, as 32x32")
    return int(match.group(1)), int(match.group(2))


def registered_spaces() -> tuple[str, ...]:
    """Return the names of all registered search spaces."""
    discovery.discover("hwkd.search_spaces")
    return catalog.SEARCH_SPACES.names()


def whole_path(text: str, suffix: str) -> str:
    """Make the name of a file absolute, so that the run can be resumed from another folder."""
    return str(Path(text).resolve()) if text.lower().endswith(suffix) else text


def default_folder(device: str) -> Path:
    """Return runs/DEVICE-DATE-TIME."""
    return Path("runs") / f"{Path(device).stem}-{datetime.now():%Y%m%d-%H%M%S}"
