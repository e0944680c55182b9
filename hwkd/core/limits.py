"""Hard limits, and the one answer to whether a network stays inside them.

A search before it trains, a profile, a report and a check of compiled C all ask `Fit`. Each limit
has one of three answers, because a need that is not known, or known only in part, fits nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from sys import maxsize
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from hwkd.core.choices import LimitName, Risk
from hwkd.core.device import Device
from hwkd.core.measure import CostEstimate, Profile
from hwkd.core.strict_model import STORED

if TYPE_CHECKING:
    from hwkd.core.trial import ViolationRecord

FitAnswer: TypeAlias = Literal["fits", "over", "unknown"]

# What is limited -> the field of `Limits`, which states the unit.
LIMIT_FIELDS: Mapping[LimitName, str] = {
    "latency": "latency_s",
    "ram": "ram_bytes",
    "flash": "flash_bytes",
    "weights": "weight_bytes",
    "energy": "energy_j",
}
LIMIT_LABELS: Mapping[LimitName, str] = {**{name: name for name in LIMIT_FIELDS}, "ram": "peak RAM"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a student may need at most; None is no limit.

    Attributes:
        ram_bytes: peak RAM of the runtime's arena.
        flash_bytes: weights and the runtime's code.
        weight_bytes: weights, biases and quantisation tables alone.
    """

    latency_s: float | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    weight_bytes: int | None = None
    energy_j: float | None = None

    def or_any(self) -> Limits:
        """Return them with boundless ones where there is none: what is known fits those."""
        return Limits(
            latency_s=inf if self.latency_s is None else self.latency_s,
            ram_bytes=maxsize if self.ram_bytes is None else self.ram_bytes,
            flash_bytes=maxsize if self.flash_bytes is None else self.flash_bytes,
            weight_bytes=maxsize if self.weight_bytes is None else self.weight_bytes,
            energy_j=inf if self.energy_j is None else self.energy_j,
        )

    def on(self, device: Device) -> Limits:
        """Return them with the RAM and flash of a device where there is no limit of its own."""
        return replace(
            self,
            ram_bytes=self.ram_bytes or device.available_ram_bytes,
            flash_bytes=self.flash_bytes or device.available_flash_bytes,
        )


NO_LIMITS = Limits()


class Need(NamedTuple):
    """What a network needs of one thing: seconds, bytes or joules; None is not known.

    With `is_lower_bound` it needs at least that much: something is missing in the sum.
    """

    amount: float | None
    is_lower_bound: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFit:
    """One limit and what is needed of it, in seconds, bytes or joules.

    Attributes:
        needed: what is compared with the limit; None where nothing of it is known.
        limit: allowed at most.
        is_lower_bound: at least `needed`, how much more is not known.
    """

    __pydantic_config__ = STORED

    name: LimitName
    needed: float | None
    limit: float
    is_lower_bound: bool = False

    @property
    def answer(self) -> FitAnswer:
        """Over as soon as what is known is too much; fits only when everything is known."""
        if self.needed is None:
            return "unknown"
        if self.needed > self.limit:
            return "over"
        return "unknown" if self.is_lower_bound else "fits"

    @property
    def used_ratio(self) -> float | None:
        """What is known of the need, as a part of the limit; above 1 is over."""
        return None if self.needed is None else self.needed / self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Whether a network stays inside its limits.

    Attributes:
        limits: one entry for each limit in force, in the order of `LIMIT_FIELDS`.
    """

    __pydantic_config__ = STORED

    limits: tuple[LimitFit, ...]

    @classmethod
    def of(
        cls,
        cost: CostEstimate,
        limits: Limits,
        risk: Risk = "upper",
        *,
        measured: Profile | None = None,
    ) -> Fit:
        """Compare a cost with limits.

        Args:
            risk: which end of the 90% interval of the latency must stay inside the limit.
            measured: times of this machine; they are judged only where the estimate has no
                latency, which is so on a device that is measured.
        """
        latency_s, misses_ops = cost.latency_at_s(risk), bool(cost.unsupported_ops)
        if latency_s is None and measured is not None:
            latency_s = measured.latency_at_s(risk)
        misses_kernels = bool(cost.unknown_kernels)
        needs: dict[LimitName, Need] = {
            "latency": _at_least(latency_s) if misses_ops else Need(latency_s),
            "ram": Need(cost.peak_ram_bytes, misses_kernels),
            "flash": Need(cost.flash_bytes, misses_kernels),
            "weights": Need(cost.weight_bytes),
            "energy": _at_least(cost.energy_j) if misses_ops else Need(cost.energy_j),
        }
        return cls.of_needs(needs, limits)

    @classmethod
    def of_needs(cls, needs: Mapping[LimitName, Need], limits: Limits) -> Fit:
        """Compare needs with limits; what is limited and not named in `needs` is unknown."""
        entries = []
        for name, field in LIMIT_FIELDS.items():
            limit = getattr(limits, field)
            if limit is not None:
                amount, is_least = needs.get(name, Need(None))
                entries.append(
                    LimitFit(name=name, needed=amount, limit=limit, is_lower_bound=is_least)
                )
        return cls(limits=tuple(entries))

    @property
    def answer(self) -> FitAnswer:
        """Over if it is over one, else unknown if one is unknown; without limits it fits."""
        answers = {entry.answer for entry in self.limits}
        return "over" if "over" in answers else "unknown" if "unknown" in answers else "fits"

    @property
    def violations(self) -> tuple[ViolationRecord, ...]:
        """Every limit that is exceeded, worst first; an unknown need exceeds none."""
        from hwkd.core.trial import ViolationRecord  # all that is known of a trial comes with it

        found = [
            ViolationRecord(limit_name=entry.name, needed=entry.needed, limit=entry.limit)
            for entry in self.limits
            if entry.needed is not None and entry.answer == "over"
        ]
        return tuple(sorted(found, key=lambda violation: -violation.excess_ratio))

    @property
    def unknown(self) -> tuple[LimitName, ...]:
        """The limits that cannot be checked."""
        return tuple(entry.name for entry in self.limits if entry.answer == "unknown")

    @property
    def answers(self) -> dict[LimitName, bool | None]:
        """Limit -> whether it is kept, None where that is not known; for JSON."""
        said: Mapping[FitAnswer, bool | None] = {"fits": True, "over": False, "unknown": None}
        return {entry.name: said[entry.answer] for entry in self.limits}

    def limit(self, name: LimitName) -> LimitFit | None:
        """Return the entry of one limit; None when it is not in force."""
        return next((entry for entry in self.limits if entry.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data in SI units for JSON."""
        return {
            "answer": self.answer,
            "limits": [
                {
                    "name": entry.name,
                    "answer": entry.answer,
                    "needed": entry.needed,
                    "is_lower_bound": entry.is_lower_bound,
                    "limit": entry.limit,
                }
                for entry in self.limits
            ],
        }


def _at_least(known: float | None) -> Need:
    """Return what operators with a cost add up to; where none has one, that 0 says nothing."""
    return Need(known or None, is_lower_bound=True)
