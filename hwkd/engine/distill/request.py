"""What `hwkd distill` was asked for, and the methods in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwkd.core.choices import CalibrationChoice, QatMode
from hwkd.core.errors import ConfigError
from hwkd.distill.spec import NO_METHOD, WeightedMethod, is_none, parse_methods

__all__ = ["DistilRequest", "WantedMethods", "wanted_methods"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilRequest:
    """What was asked for; see the options of `hwkd distill`."""

    student: str
    out: Path
    methods: tuple[str | Mapping[str, Any], ...] = ()
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
    """Read the methods, and refuse what would do nothing.

    Raises:
        ConfigError: names the option, what is wrong with it and what to do.
    """
    wanted = WantedMethods(
        entries=parse_methods(request.methods),
        is_none=is_none(request.methods),
        by_hardware=request.by_hardware,
    )
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
