"""What features of raw samples add to a network's cost: they run before it, in hwkd's own C."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hwkd.core.measure import CostEstimate, LatencyEstimate, OpCost

FEATURES = "Features"
# Nobody timed them: a choice, about what the nearest timed kernels differ by.
_BAND = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureNeed:
    """What features take of a core for one raw input.

    Attributes:
        instructions: None where the core's were never counted.
        cycles_per_instruction: None where nobody says what one takes.
        error_ratio: of their closed form.
        ram_bytes: static memory beside the network's.
        flash_bytes: tables, and code where its size is known.
    """

    instructions: float | None
    cycles_per_instruction: float | None
    error_ratio: float
    ram_bytes: int
    flash_bytes: int


def with_features(cost: CostEstimate, need: FeatureNeed) -> CostEstimate:
    """Return the cost of features and network together.

    Where nobody counted the core's instructions, or says what one takes, they are an operator
    without a cost.

    Args:
        cost: of the network alone.
        need: of its features.
    """
    latency = _latency(need, cost.clock_hz)
    op = OpCost(
        name=FEATURES.lower(), kind=FEATURES, macs=0,
        latency_s=None if latency is None else latency.value_s,
        ram_bytes=need.ram_bytes, flash_bytes=need.flash_bytes,
    )  # fmt: skip
    unsupported: Mapping[str, int] = cost.unsupported_ops
    if latency is None:
        unsupported = {**unsupported, FEATURES: 1}
    whole = cost.latency
    if whole is not None and latency is not None:
        share = _share(latency, whole)
        whole = replace(
            whole,
            value_s=whole.value_s + latency.value_s,
            low_s=whole.low_s + latency.low_s,
            high_s=whole.high_s + latency.high_s,
            basis=f"{whole.basis}; {latency.basis}",
            never_timed={**_part(whole.never_timed, share), FEATURES: share},
            borrowed=_part(whole.borrowed, share),
            weak_shares=_part(whole.weak_shares, share),
        )
    energy_j = cost.energy_j
    if energy_j is not None and cost.latency is not None and whole is not None:
        energy_j *= whole.value_s / cost.latency.value_s
    return replace(
        cost,
        latency=whole,
        energy_j=energy_j,
        peak_ram_bytes=cost.peak_ram_bytes + need.ram_bytes,
        flash_bytes=cost.flash_bytes + need.flash_bytes,
        per_op=(op, *cost.per_op),
        unsupported_ops=unsupported,
    )


def _share(latency: LatencyEstimate, network: LatencyEstimate) -> float:
    return latency.value_s / (latency.value_s + network.value_s)


def _part(shares: Mapping[str, float], features: float) -> dict[str, float]:
    """Return shares of a network as those of network and features."""
    return {name: share * (1 - features) for name, share in shares.items()}


def _latency(need: FeatureNeed, clock_hz: float) -> LatencyEstimate | None:
    cycles = need.cycles_per_instruction
    if need.instructions is None or cycles is None or not clock_hz:
        return None
    value_s = need.instructions * cycles / clock_hz
    reach = _BAND * (1 + need.error_ratio)
    return LatencyEstimate(
        value_s=value_s,
        low_s=value_s / reach,
        high_s=value_s * reach,
        basis=f"features: counted instructions at {cycles:g} cycles by Arm's manual, never timed",
    )
