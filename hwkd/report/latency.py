"""What a report says of latencies: the word, the number shown, and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass

from hwkd.core.measure import CostEstimate, Profile
from hwkd.core.run_record import DeviceRecord
from hwkd.report import format as fmt


@dataclass(frozen=True, slots=True)
class Latency:
    """The latencies on one device; a report asks nothing else where they come from."""

    device: DeviceRecord

    @property
    def word(self) -> str:
        """How they came about, as the heading of a column says it."""
        return self.device.basis.name

    @property
    def is_timed(self) -> bool:
        """Whether they are times of the machine that searched and not part of the estimate."""
        return self.device.basis.is_timed

    @property
    def word_of_parts(self) -> str:
        """How the latencies of operators inside an estimate came about."""
        return self.device.basis.sizes if self.is_timed else self.word

    @property
    def source(self) -> str:
        """The word, and for which runtime and clock."""
        device = self.device
        version = f" {device.runtime_version}" if device.runtime_version else ""
        runtime = f"{device.runtime}{version}, {device.dtype}"
        if self.is_timed:
            return f"{self.word} on this machine, {runtime}"
        return f"{self.word} for {runtime}, {device.core} at {fmt.frequency(device.clock_hz)}"

    @property
    def limited_end(self) -> str:
        """What the hard limit on the latency holds for."""
        risk = self.device.latency_risk
        if self.is_timed:
            return "the 90th percentile" if risk == "upper" else "the median"
        if self.device.basis.spread is None or risk == "expected":
            return "the most likely value"
        return f"the {risk} end of the 90 % interval"

    def shown_s(self, cost: CostEstimate | None, profile: Profile | None) -> float | None:
        """Return the number of a student; None where it is not known."""
        if self.is_timed:
            return None if profile is None else profile.median_s
        return None if cost is None else cost.latency_s

    def of_estimate(self, cost: CostEstimate) -> str:
        """Return what an estimate says, with its interval and what it rests on."""
        latency, spread = cost.latency, self.device.basis.spread
        if latency is None:
            return f"none: this device is {self.word} and not predicted"
        text = f"{'at least ' if cost.unsupported_ops else ''}{fmt.time(latency.value_s)}"
        if spread is not None:
            text += f", 90 % interval {fmt.time(latency.low_s)} to {fmt.time(latency.high_s)}"
        return f"{text} ({latency.basis})"
