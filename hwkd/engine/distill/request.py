"""What `hwkd distill` was asked for, and the methods in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwkd.core.choices import CalibrationChoice, QatMode
from hwkd.core.errors import ConfigError
from hwkd.distill.spec import (
    NO_METHOD,
    WeightedMethod,
    method_from_table,
    parse_methods,
    require_combinable,
)
from hwkd.io.text_files import MalformedTextError, read_toml

__all__ = ["DistilRequest", "WantedMethods", "wanted_methods"]

_KEYS = ("distill", "importance")


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilRequest:
    """What was asked for; see the options of `hwkd distill`."""

    student: str
    out: Path
    methods: tuple[str, ...] = ()
    config: Path | None = None
    epochs: int | None = None
    task: str | None = None
    data: str | None = None
    teachers: tuple[str, ...] = ()
    teacher_weights: Path | None = None
    unlabelled: Path | None = None
    views: int = 1
    with_controls: bool = False
    seeds: tuple[int, ...] = (0,)
    by_hardware: bool = False
    pairs: tuple[str, ...] = ()
    calibration: CalibrationChoice = "auto"
    qat: QatMode = "auto"
    accelerator: str = "auto"
    command: tuple[str, ...] = ("hwkd.distill",)
    trusts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedMethods:
    """What the student is to learn by.

    Attributes:
        entries: as given; empty leaves the choice to the teacher.
        is_none: the labels alone were asked for.
        by_hardware: feature terms weigh what their stage costs on the device.
    """

    entries: tuple[WeightedMethod, ...]
    is_none: bool = False
    by_hardware: bool = False

    @property
    def ask_teacher(self) -> bool:
        """Whether a teacher is needed, if only to choose the method."""
        if not self.entries:
            return not self.is_none
        return any(entry.method.asks_teacher for entry in self.entries)


def wanted_methods(request: DistilRequest) -> WantedMethods:
    """Read the methods from the options or from the file, and refuse what would do nothing.

    Raises:
        ConfigError: names the option, what is wrong with it and what to do.
    """
    wanted = _wanted(request)
    names = ", ".join(entry.method.name for entry in wanted.entries) or NO_METHOD
    if request.unlabelled is not None and not wanted.ask_teacher:
        raise ConfigError(
            f"--unlabelled {request.unlabelled}: a teacher labels these inputs and --method "
            f"{names} has none; leave it out or add kd"
        )
    if request.with_controls and wanted.is_none:
        raise ConfigError(f"--attribution: --method {NO_METHOD} leaves nothing to compare")
    has_layers = any(entry.method.paired_signals for entry in wanted.entries)
    if wanted.by_hardware and not has_layers:
        given = f"--method {names}" if wanted.entries else "the default method"
        raise ConfigError(
            f"--importance hardware: weighs the stages of feature methods and {given} compares "
            "none; leave it out or add at or fitnet"
        )
    return wanted


def _wanted(request: DistilRequest) -> WantedMethods:
    if request.config is None:
        return WantedMethods(
            entries=parse_methods(request.methods),
            is_none=NO_METHOD in request.methods,
            by_hardware=request.by_hardware,
        )
    if request.methods:
        raise ConfigError("--config and --method: give the methods in one of them")
    content = _content(request.config)
    tables = content.get("distill", [])
    if not isinstance(tables, list) or not tables:
        raise ConfigError(f"--config {request.config}: has no [[distill]] table")
    by_hardware = request.by_hardware or content.get("importance") == "hardware"
    if tables == [{"method": NO_METHOD}]:
        return WantedMethods(entries=(), is_none=True, by_hardware=by_hardware)
    entries = tuple(method_from_table(table) for table in tables)
    require_combinable(entries)
    return WantedMethods(entries=entries, by_hardware=by_hardware)


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = read_toml(path)
    except MalformedTextError as error:
        raise ConfigError(f"--config {path}: cannot be read ({error})") from None
    unknown = sorted(set(content) - set(_KEYS))
    if unknown:
        raise ConfigError(
            f"--config {path}: unknown {unknown[0]!r}; it holds [[distill]] tables and importance"
        )
    importance = content.get("importance", "equal")
    if importance not in ("equal", "hardware"):
        raise ConfigError(
            f"--config {path}: importance = {importance!r} is neither equal nor hardware"
        )
    return content
