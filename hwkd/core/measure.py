"""Numbers about a student on a device; estimated and measured ones have different types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hwkd.core.choices import Risk
from hwkd.core.strict_model import STORED, StoredInt


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyEstimate:
    """A predicted time of one inference with its interval.

    Attributes:
        value_s: most likely value, seconds.
        low_s: lower end of the 90% interval.
        high_s: upper end of the 90% interval.
        basis: where it comes from, for example "estimated: esp-nn 2023, 11 operators".
        is_extrapolated: the graph lies outside the range the model was fitted on.
        never_timed: form of operator that nobody timed on this runtime and core -> its share of
            the latency.
        borrowed: operator class whose cycles are another fit's, as no row holds it -> its share of
            the latency.
        weak_shares: why the evidence is weak, as "outside the fitted range" -> its share of the
            latency; shares too small to widen the interval are left out.
    """

    __pydantic_config__ = STORED

    value_s: float
    low_s: float
    high_s: float
    basis: str
    is_extrapolated: bool = False
    never_timed: dict[str, float] = field(default_factory=dict)
    borrowed: dict[str, float] = field(default_factory=dict)
    weak_shares: dict[str, float] = field(default_factory=dict)

    def at_s(self, risk: Risk) -> float:
        """Return the end of the interval that must stay inside a limit; "expected" the middle."""
        return {"upper": self.high_s, "expected": self.value_s, "lower": self.low_s}[risk]


# Not frozen: freezing triples the time of creation, and screening creates dozens for a candidate.
@dataclass(slots=True, kw_only=True, unsafe_hash=True)
class OpCost:
    """One operator's share of a `CostEstimate`; fused operators have a latency of 0 and say so.

    Attributes:
        latency_s: estimated; None when the model has no cost for this operator.
        ram_bytes: activation bytes alive while it runs, scratch included.
        flash_bytes: weights, biases and quantisation tables.
        fused_into: name of the operator that computes it; "" if nothing is computed (a reshape),
            None if it runs by itself.
    """

    __pydantic_config__ = STORED

    name: str
    kind: str
    macs: StoredInt
    latency_s: float | None
    ram_bytes: StoredInt
    flash_bytes: StoredInt
    fused_into: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEstimate:
    """What the device model predicts for one graph; nothing in here was measured.

    Attributes:
        dtype: "int8" or "float32".
        macs: multiply-accumulates of one inference.
        params: weights and biases, in elements.
        latency: None when the device is measured and not predicted (`host`).
        peak_ram_bytes: arena and runtime overhead.
        weight_bytes: weights, biases and quantisation tables.
        flash_bytes: weight_bytes and the runtime's code.
        energy_j: joules of one inference, None when no published power covers it.
        per_op: in execution order.
        unsupported_ops: operator kind -> count without a cost; then `latency` and `energy_j` are
            lower bounds, however small: of operators without any cost they are 0.
        unknown_kernels: kinds of operators of whose kernels nothing is known; then RAM and flash
            leave out their working memory and code.
    """

    __pydantic_config__ = STORED

    device: str
    runtime: str
    clock_hz: float
    dtype: str
    macs: StoredInt
    params: StoredInt
    latency: LatencyEstimate | None
    peak_ram_bytes: StoredInt
    weight_bytes: StoredInt
    flash_bytes: StoredInt
    energy_j: float | None
    per_op: tuple[OpCost, ...] = ()
    unsupported_ops: Mapping[str, StoredInt] = field(default_factory=dict)
    unknown_kernels: tuple[str, ...] = ()

    @property
    def is_lower_bound(self) -> bool:
        """True when an operator had no cost: latency and energy are at least the values given."""
        return bool(self.unsupported_ops)

    @property
    def latency_s(self) -> float | None:
        """The most likely latency; None without an estimate."""
        return self.latency_at_s("expected")

    def latency_at_s(self, risk: Risk) -> float | None:
        """Return one end of the latency's interval, or its middle; None without an estimate."""
        return None if self.latency is None else self.latency.at_s(risk)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpShare:
    """Measured time of one operator inside a profiled inference.

    Attributes:
        name: node name in the ONNX file as it ran (after the runtime's own fusions).
        kind: operator type as it ran.
        mean_s: mean over the profiled runs.
        share_ratio: part of the sum over operators, 0 to 1.
    """

    __pydantic_config__ = STORED

    name: str
    kind: str
    mean_s: float
    share_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A measurement of one ONNX file on this machine; always measured, never predicted.

    Attributes:
        median_s: median time of one inference, batch 1, profiler off.
        p90_s: 90th percentile.
        spread_s: interquartile range.
        warmup_runs: inferences before the clock started.
        file_sha256: its SHA-256.
        per_op: shares with the profiler on, slowest first; their sum is not `median_s`.
    """

    __pydantic_config__ = STORED

    median_s: float
    p90_s: float
    spread_s: float
    runs: StoredInt
    warmup_runs: StoredInt
    threads: StoredInt
    file_bytes: StoredInt
    file_sha256: str
    provider: str
    runtime_version: str
    host: str
    per_op: tuple[OpShare, ...] = ()

    def latency_at_s(self, risk: Risk) -> float:
        """Return the time that is compared with a limit: for "upper" the 90th percentile."""
        return self.p90_s if risk == "upper" else self.median_s
