"""Small hand-made records for tests of the record types."""

from __future__ import annotations

from hwkd.core.measure import CostEstimate, LatencyEstimate, Profile
from hwkd.core.metric import ScoresRecord
from hwkd.core.student import StudentSpec
from hwkd.core.trial import ObjectiveRecord, TrialRecord

SPEC = StudentSpec(
    space="narrow_deep",
    params={"stages": 2, "activation": "relu", "wide": True, "ratio": 0.5},
    input_shape=(1, 8, 8),
    num_outputs=10,
)


def estimate(
    *,
    latency: tuple[float, float, float] | None = (0.008, 0.010, 0.013),
    ram: int = 10_000,
    weights: int = 20_000,
    flash: int = 60_000,
    energy_j: float | None = 1e-3,
) -> CostEstimate:
    """Return an estimate; `latency` is (low, value, high) in seconds."""
    return CostEstimate(
        device="test-device",
        runtime="test-runtime",
        clock_hz=1e8,
        dtype="int8",
        macs=1000,
        params=20_000,
        latency=None
        if latency is None
        else LatencyEstimate(
            low_s=latency[0], value_s=latency[1], high_s=latency[2], basis="estimated: test"
        ),
        peak_ram_bytes=ram,
        weight_bytes=weights,
        flash_bytes=flash,
        energy_j=energy_j,
    )


def measurement(*, median_s: float, p90_s: float) -> Profile:
    return Profile(
        median_s=median_s, p90_s=p90_s, spread_s=0.0, runs=50, warmup_runs=5, threads=1,
        file_bytes=1, file_sha256="0" * 64, provider="CPUExecutionProvider",
        runtime_version="1.0", host="test",
    )  # fmt: skip


def completed(
    number: int, *, error: float = 0.1, latency_s: float | None = 0.01, ram: int = 1, flash: int = 1
) -> TrialRecord:
    latency = None if latency_s is None else (latency_s, latency_s, latency_s)
    return TrialRecord(
        number=number,
        state="completed",
        spec=SPEC,
        seed=0,
        cost=estimate(latency=latency, ram=ram, flash=flash),
        scores=ScoresRecord(
            validation_float={"accuracy": 1 - error}, validation_int8={"accuracy": 1 - error}
        ),
        objective=ObjectiveRecord(
            task_error=error, divergence=0.0, latency_overrun=0.0, value=error
        ),
        started_at="2026-01-02T03:04:05+00:00",
        duration_s=1.0,
    )
