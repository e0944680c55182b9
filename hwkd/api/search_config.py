"""Options of a search in the terms of its configuration: SI units, whole paths, tables."""

from __future__ import annotations

import math
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwkd.core import catalog
from hwkd.core.errors import ConfigError
from hwkd.core.teacher_input import is_teacher_file
from hwkd.core.units import (
    Duration,
    parse_bytes,
    parse_clock_hz,
    parse_duration_s,
    parse_energy_j,
    parse_power_w,
    parse_sample_rate_hz,
)
from hwkd.cost.energy import DutyCycle
from hwkd.io import discovery

if TYPE_CHECKING:
    from hwkd.engine.run.study_place import StudyPlace


def seconds(text: Duration | None, option: str) -> float | None:
    """Return seconds from "20ms"; None stays None, here and below."""
    return None if text is None else parse_duration_s(text, option=option)


def limit_amounts(
    latency: Duration | None,
    ram: str | None,
    flash: str | None,
    weights: str | None,
    energy: str | None,
) -> dict[str, Any]:
    """Return the fields of `hwkd.core.limits.Limits` from texts such as "20ms" and "128KiB"."""
    return {
        "latency_s": seconds(latency, "--max-latency"),
        "ram_bytes": _storage(ram, "--max-ram"),
        "flash_bytes": _storage(flash, "--max-flash"),
        "weight_bytes": _storage(weights, "--max-weights"),
        "energy_j": None if energy is None else parse_energy_j(energy, option="--max-energy"),
    }


def _storage(text: str | None, option: str) -> int | None:
    return None if text is None else parse_bytes(text, option=option)


def frequency(text: str | None, option: str) -> float | None:
    """Return hertz from "216MHz"."""
    return None if text is None else parse_clock_hz(text, option=option)


def sample_rate(text: str | None, option: str) -> float | None:
    """Return hertz from "16kHz"."""
    return None if text is None else parse_sample_rate_hz(text, option=option)


def duty_cycle(period: Duration | None, sleep_power: str | None) -> DutyCycle | None:
    """Return how often a network runs from "1s" and "10uW".

    Raises:
        ConfigError: if one is given without the other: neither is zero.
    """
    if period is None and sleep_power is None:
        return None
    if period is None or sleep_power is None:
        given, lacking = ("--sleep-power", "--period"), "1s"
        if sleep_power is None:
            given, lacking = ("--period", "--sleep-power"), "10uW"
        raise ConfigError(f"{given[0]} needs {given[1]}, as {given[1]} {lacking}")
    return DutyCycle(
        period_s=parse_duration_s(period, option="--period"),
        sleep_power_w=parse_power_w(sleep_power, option="--sleep-power"),
    )


def share(text: str | None, option: str) -> float | None:
    """Return a share, 0 to 1, from "0.1%".

    Raises:
        ConfigError: if it is no percentage above 0 and below 100.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d*\.?\d+)\s*%\s*", text)
    value = float(match.group(1)) / 100 if match else 0.0
    if not 0 < value < 1:
        raise ConfigError(f"{option}: {text!r} is no share between 0% and 100%, as 0.1%")
    return value


def per_hour(text: str | None, option: str) -> float | None:
    """Return how often in an hour from "0.5/h".

    Raises:
        ConfigError: if it is no rate above 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d*\.?\d+)\s*/\s*h\s*", text)
    value = float(match.group(1)) if match else 0.0
    if not 0 < value < math.inf:
        raise ConfigError(f"{option}: {text!r} is no number in an hour above 0, as 0.5/h")
    return value


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


def default_spaces(task: str) -> tuple[str, ...]:
    """Return the search spaces of a task's students where the user names none.

    Raises:
        UnknownNameError: if there is no such task.
    """
    discovery.discover("hwkd.tasks")
    return catalog.TASKS.get(task).spaces or discovery.registered_spaces()


def whole_path(text: str, suffix: str) -> str:
    """Make the name of a file absolute, so that the run can be resumed from another folder."""
    return str(Path(text).resolve()) if text.lower().endswith(suffix) else text


def whole_teacher(source: str) -> str:
    """Do so for a teacher that is a file; Python is found by its name."""
    return str(Path(source).resolve()) if is_teacher_file(source) else source


def shared_place(
    storage: str | None, study: str | None, artifacts: str | None, folder: Path, *, workers: int
) -> StudyPlace | None:
    """Return which study in which database becomes the run; None keeps it in its folder.

    Args:
        study: name of the run there; None is the folder's.
        artifacts: URL or folder of weights; None is in the run folder.

    Raises:
        ConfigError: if an option needs --storage, or one is no URL.
    """
    for option, is_given in (
        ("--study", study is not None),
        ("--artifacts", artifacts is not None),
        ("--workers 0", workers == 0),
    ):
        if storage is None and is_given:
            raise ConfigError(f"{option}: goes with --storage, where other machines join the run")
    if storage is None:
        return None
    from hwkd.engine.run.database import Database
    from hwkd.engine.run.study_place import StudyPlace
    from hwkd.engine.run.url_artifacts import open_artifacts

    where = artifacts or str(folder.resolve() / "artifacts")
    where = where if "://" in where else Path(where).resolve().as_uri()
    open_artifacts(where)
    return StudyPlace(
        url=Database.of(storage).url, study=study or folder.resolve().name, artifacts=where
    )


def without_password(text: str) -> str:
    """Return a word of a command line, of a URL without the password that it may hold."""
    text = re.sub(r"(://[^:/@\s]*):[^@/\s]*@", r"\1@", text)
    return re.sub(r"(://.*[?&])password=[^&]*&?", r"\1", text).rstrip("?&")


def default_folder(device: str) -> Path:
    """Return runs/DEVICE-DATE-TIME."""
    return Path("runs") / f"{Path(device).stem}-{datetime.now():%Y%m%d-%H%M%S}"
