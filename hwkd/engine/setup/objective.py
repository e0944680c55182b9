"""alpha * task + beta * KD + gamma * overrun: the three terms and their sum; pure."""

from __future__ import annotations

from hwkd.core.objective import ObjectiveConfig
from hwkd.core.trial import ObjectiveRecord, TrialRecord


def latency_overrun(latency_s: float | None, target_latency_s: float | None) -> float:
    """Return max(0, latency / target - 1); 0 when there is no target or no latency yet."""
    if latency_s is None or target_latency_s is None:
        return 0.0
    return max(0.0, latency_s / target_latency_s - 1.0)


def score_objective(
    config: ObjectiveConfig, *, task_error: float, divergence: float, latency_s: float | None
) -> ObjectiveRecord:
    """Return the unweighted terms and their weighted sum."""
    overrun = latency_overrun(latency_s, config.target_latency_s)
    value = config.alpha * task_error + config.beta * divergence + config.gamma * overrun
    return ObjectiveRecord(
        task_error=task_error, divergence=divergence, latency_overrun=overrun, value=value
    )


def objective_values(record: TrialRecord, directions: int) -> tuple[float, ...]:
    """Return what the study is told for a record; empty when it has no values."""
    if record.objective is None or record.cost is None:
        return ()
    if directions == 1:
        return (record.objective.value,)
    return (
        record.objective.task_error,
        record.latency_s or 0.0,
        float(record.cost.peak_ram_bytes),
        float(record.cost.flash_bytes),
    )
