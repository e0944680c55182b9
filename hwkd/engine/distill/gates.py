"""What a stage of a compression must hold: the score, and what it costs on the device; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hwkd.core.choices import LimitName, Risk
from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.core.limits import LIMIT_FIELDS, NO_LIMITS, Fit, Limits
from hwkd.core.measure import CostEstimate
from hwkd.core.metric import Metric
from hwkd.core.units import parse_bytes, parse_duration_s, parse_energy_j, times_text

SCORE = "accuracy"
_USUAL_LOSS = 0.03
_READ: dict[LimitName, Callable[..., Any]] = {
    "latency": parse_duration_s,
    "ram": parse_bytes,
    "flash": parse_bytes,
    "weights": parse_bytes,
    "energy": parse_energy_j,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """Asked of every stage.

    Attributes:
        lost_ratio: of the score that may be lost from the first student: of a ratio the
            difference, else the share.
        limits: on the device; a stage over one may teach and not ship.
        texts: as the user wrote them.
    """

    lost_ratio: float = _USUAL_LOSS
    limits: Limits = NO_LIMITS
    texts: tuple[str, ...] = (f"{SCORE}:{_USUAL_LOSS:.0%}",)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Gates:
        """Read `accuracy:2%`, `latency:5ms`, `ram:20KiB`, `flash:`, `weights:` and `energy:1mJ`.

        Raises:
            UnknownNameError: if there is no such gate; offers the nearest.
            ConfigError: if an amount cannot be read, or a gate is given twice.
        """
        given: dict[str, str] = {}
        for text in texts:
            name, _, amount = text.partition(":")
            if name not in (SCORE, *_READ):
                raise UnknownNameError("gate", name, [SCORE, *_READ])
            if name in given:
                raise ConfigError(f"--gate {text}: {name} is given twice")
            given[name] = amount
        limits = {
            LIMIT_FIELDS[name]: read(given[name], option=f"--gate {name}")
            for name, read in _READ.items()
            if name in given
        }  # fmt: skip
        lost = _share(given[SCORE]) if SCORE in given else _USUAL_LOSS
        usual = () if SCORE in given else (f"{SCORE}:{_USUAL_LOSS:.0%}",)
        return cls(lost_ratio=lost, limits=replace(NO_LIMITS, **limits), texts=(*usual, *texts))

    def closed_by_cost(self, cost: CostEstimate, risk: Risk) -> tuple[str, ...]:
        """Name the limits that a student is over, or that cannot be checked."""
        fit = Fit.of(cost, self.limits, risk)
        over = [
            f"{v.limit_name} {times_text(1 + v.excess_ratio)} times its gate"
            for v in fit.violations
        ]
        return (*over, *(f"{name} is not known" for name in fit.unknown))

    def closed_by_score(self, metric: Metric, before: float, after: float) -> tuple[str, ...]:
        """Say how much of the score was lost, where that is too much.

        Args:
            before: mean of the first student on validation, in the metric's unit.
            after: of the stage.
        """
        lost = metric.lost_ratio({metric.name: before}, {metric.name: after})
        if lost <= self.lost_ratio:
            return ()
        return (f"{metric.name} {metric.text(before)} became {metric.text(after)}",)


def _share(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / 100 if text.endswith("%") else -1.0
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise ConfigError(
            f"--gate {SCORE}:{text}: expected the share that may be lost, as {SCORE}:2%"
        )
    return value
