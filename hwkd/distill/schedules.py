"""Weights and temperatures over a training: warm-up, stages, a temperature that drifts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hwkd.core.errors import ConfigError
from hwkd.distill.method import LossMethod, Method
from hwkd.distill.no_teacher import LabelTeacher


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a term counts, and how much; every number is a share of the training, 0 to 1.

    A two-stage method is one term that stops where the other starts.

    Attributes:
        start: the term is off before.
        stop: the term is off from here on.
        warmup: after `start` the weight grows linearly over this share.
        decay: before `stop` the weight falls linearly to 0 over this share.
        temperature_end: temperature at the end of training; it drifts linearly from the method's
            own. None keeps it.
    """

    start: float = 0.0
    stop: float = 1.0
    warmup: float = 0.0
    decay: float = 0.0
    temperature_end: float | None = None

    def __post_init__(self) -> None:
        """Refuse shares outside 0 to 1 and an empty stage.

        Raises:
            ConfigError: names the field and the value.
        """
        for name in ("start", "stop", "warmup", "decay"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{name}={value} must be a share of the training, 0 to 1")
        if self.start >= self.stop:
            raise ConfigError(f"start={self.start} must be less than stop={self.stop}")
        if self.temperature_end is not None and not 0.0 < self.temperature_end < float("inf"):
            raise ConfigError(f"temperature_end={self.temperature_end} must be more than 0")

    def factor(self, epoch_ratio: float) -> float:
        """Return what the weight is multiplied by, 0 to 1.

        Args:
            epoch_ratio: how much of the training is done, 0 to 1.
        """
        # The last step of a training that stops at its end still belongs to it.
        if epoch_ratio < self.start or (epoch_ratio >= self.stop and self.stop < 1.0):
            return 0.0
        grown = (epoch_ratio - self.start) / self.warmup if self.warmup > 0 else 1.0
        left = (self.stop - epoch_ratio) / self.decay if self.decay > 0 else 1.0
        return max(0.0, min(1.0, grown, left))


def has_temperature(method: Method) -> bool:
    """Tell whether a schedule can move the method's temperature."""
    if isinstance(method, LabelTeacher):
        return has_temperature(method.method)
    return isinstance(method, LossMethod) and hasattr(method, "temperature")


def at_temperature(method: LossMethod, schedule: Schedule, epoch_ratio: float) -> LossMethod:
    """Return the method with the temperature of this moment.

    Raises:
        ConfigError: if the schedule moves a temperature that the method does not have.
    """
    if schedule.temperature_end is None:
        return method
    if not has_temperature(method):
        raise ConfigError(f"method {method.name}: temperature_end is given, it has no temperature")
    if isinstance(method, LabelTeacher):
        tempered = at_temperature(method.method, schedule, epoch_ratio)
        return dataclasses.replace(method, method=tempered)
    start = float(vars(method)["temperature"])
    now = start + (schedule.temperature_end - start) * epoch_ratio
    changed: dict[str, Any] = {"temperature": now}
    return dataclasses.replace(method, **changed)
