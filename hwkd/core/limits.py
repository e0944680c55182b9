"""Hard limits of a search, checked by arithmetic before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.choices import Risk
from hwkd.core.measure import CostEstimate
from hwkd.core.trial import LimitName, ViolationRecord

__all__ = ["Limits", "violations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a student may need at most; None is no limit.

    Attributes:
        latency_s: one inference.
        ram_bytes: peak RAM of the runtime's arena.
        flash_bytes: weights and the runtime's code.
        weight_bytes: weights, biases and quantisation tables alone.
        energy_j: one inference.
    """

    latency_s: float | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    weight_bytes: int | None = None
    energy_j: float | None = None


def violations(
    cost: CostEstimate, limits: Limits, *, risk: Risk = "upper"
) -> tuple[ViolationRecord, ...]:
    """Return every limit that the estimate exceeds, worst first.

    Args:
        cost: the estimate. A latency or energy that is unknown (None) violates nothing here: it is
            measured later (`host`) or listed as unknown in the report.
        limits: what is allowed.
        risk: which end of the 90% latency interval must stay inside the limit.
    """
    needs: list[tuple[LimitName, float | None, float | None]] = [
        ("latency", _latency_at_risk_s(cost, risk), limits.latency_s),
        ("ram", cost.peak_ram_bytes, limits.ram_bytes),
        ("flash", cost.flash_bytes, limits.flash_bytes),
        ("weights", cost.weight_bytes, limits.weight_bytes),
        ("energy", cost.energy_j, limits.energy_j),
    ]
    found = [
        ViolationRecord(limit_name=name, needed=needed, limit=limit)
        for name, needed, limit in needs
        if needed is not None and limit is not None and needed > limit
    ]
    return tuple(sorted(found, key=lambda violation: -violation.excess_ratio))


def _latency_at_risk_s(cost: CostEstimate, risk: Risk) -> float | None:
    if cost.latency is None:
        return None
    if risk == "upper":
        return cost.latency.high_s
    return cost.latency.value_s if risk == "expected" else cost.latency.low_s
