"""Facts of one search in the form that is stored in `run.json`."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from hwkd import __version__
from hwkd.core.device import Device
from hwkd.core.limits import LIMIT_FIELDS, LIMIT_LABELS, Fit
from hwkd.core.run_record import (
    DataRecord,
    DeviceRecord,
    EnvironmentRecord,
    FeasibilityRecord,
    LimitRecord,
    RunRecord,
    SettingRecord,
    SplitRecord,
)
from hwkd.core.trial import TrialRecord
from hwkd.cost.backend import backend_of
from hwkd.engine.setup.config import LimitsConfig, SearchConfig
from hwkd.engine.setup.feasibility import SpaceFeasibility
from hwkd.io.machine import available_cores, package_versions
from hwkd.profiling.onnx_runtime import host_name
from hwkd.tasks.base import SPLITS, TaskData


def make_run_record(
    *,
    requested: SearchConfig,
    resolved: SearchConfig,
    device: Device,
    data: TaskData,
    feasibility: Sequence[SpaceFeasibility],
    accelerator: str,
    command: Sequence[str],
    settings: tuple[SettingRecord, ...] = (),
) -> RunRecord:
    """Return the record of a search that is about to begin; the teacher is not known yet."""
    return RunRecord(
        hwkd_version=__version__,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        status="running",
        command=tuple(command),
        seed=resolved.seed,
        workers=resolved.workers,
        device=_device_record(requested.limits, resolved, device),
        data=data_record(data),
        settings=settings,
        objective=resolved.objective,
        feasibility=tuple(
            FeasibilityRecord(
                space=space.space,
                sampled=space.sampled,
                feasible=space.feasible,
                binding=dict(space.binding),
                unknown=dict(space.unknown),
                left_out=space.is_left_out,
            )
            for space in feasibility
        ),
        environment=EnvironmentRecord(
            python=platform.python_version(),
            platform=platform.platform(),
            cpu=host_name(),
            cores=available_cores(),
            accelerator=accelerator,
            packages={k: v for k, v in package_versions().items() if k != "python"},
        ),
    )


def data_record(data: TaskData) -> DataRecord:
    """Copy what a report shows of the data."""
    counts = data.class_counts
    return DataRecord(
        task=data.name,
        source=data.source,
        fingerprint=data.fingerprint,
        content_fingerprint=data.content_fingerprint,
        input_shape=data.input_shape,
        kind=data.head.kind.name,
        class_names=data.class_names,
        answer_mean=data.head.answer_mean,
        answer_std=data.head.answer_std,
        metrics=data.head.metrics,
        splits=tuple(
            SplitRecord(
                name=name,
                samples=len(data.split(name)),
                class_counts=counts.get(name, ()),
                groups=data.groups.get(name, ()),
                wholes=None if (wholes := data.split(name).wholes) is None else len(set(wholes)),
            )
            for name in SPLITS
        ),
        split_seed=data.split_seed,
        pipeline=data.pipeline.record(),
        sample_rate_hz=data.sample_rate_hz,
        notes=data.notes,
        grouped_by=data.grouped_by,
    )


def _epochs_made(config: SearchConfig, records: Sequence[TrialRecord]) -> str:
    """Say how long, which differs from candidate to candidate where time ends a training."""
    made = [r.epochs_made for r in records if r.state == "completed" and r.epochs_made is not None]
    least, most = min(made, default=1), max(made, default=config.training.brief_epochs or 1)
    if made and most - least >= 0.5:
        return f"{least:.2g} to {most:.3g} epochs"
    return "1 epoch" if most == 1 else f"{most:.3g} epochs"


def search_caveats(
    config: SearchConfig, device: Device, records: Sequence[TrialRecord], *, is_compared: bool
) -> tuple[str, ...]:
    """Return what a reader must know before using a number of this search.

    Args:
        is_compared: the last trainings have controls; without one there is no gain to speak of.
    """
    runtime = device.runtime(config.runtime)
    caveats = []
    if backend_of(device).basis.is_timed:
        caveats.append("Latency was measured on the machine that searched, on one thread.")
    else:
        caveats.append(
            f"Latency, RAM and flash are estimates for {runtime.name} {runtime.version} on "
            f"{device.name}; nothing was measured on the chip."
        )
    caveats.append(
        f"Candidates were trained briefly ({_epochs_made(config, records)}); their order can "
        "differ after full training."
    )
    unsupported = sorted({op for r in records if r.cost for op in r.cost.unsupported_ops})
    if unsupported:
        caveats.append(
            "Some students hold operators without a cost; their latency is a lower bound: "
            + ", ".join(unsupported)
            + "."
        )
    if device.open_sources:
        caveats.append(
            f"The device file of {device.name} still says FILL IN where the source of "
            f"{', '.join(device.open_sources)} belongs: nothing says where these numbers are from."
        )
    caveats += _unchecked_limits(config, records)
    workers = config.workers or len({record.worker for record in records})
    if workers > 1:
        caveats.append(
            f"{workers} workers shared the search: the order of trials depends on timing, "
            "so the same seed can give other trials."
        )
    if is_compared and config.training.controls < 2:
        caveats.append(
            "What methods gained over training without them rests on one seed or none; "
            "use --controls 3 or more to see its spread."
        )
    return tuple(caveats)


def _unchecked_limits(config: SearchConfig, records: Sequence[TrialRecord]) -> list[str]:
    """Name the limits that students were trained under though what they need is not known."""
    limits, risk = config.limits.to_limits(), config.limits.risk
    fits = [
        Fit.of(r.cost, limits, risk, measured=r.profile)
        for r in records
        if r.state == "completed" and r.cost is not None
    ]
    unknown = Counter(name for fit in fits for name in fit.unknown)
    return [
        f"The limit on {LIMIT_LABELS[name]} could not be checked for {count} of {len(fits)} "
        "trained students, whose need of it is not known; no student is rejected for that."
        for name, count in unknown.items()
    ]


def with_phase(run: RunRecord, phase: str, seconds: float) -> RunRecord:
    """Return the record with seconds added to a phase."""
    total = run.phase_seconds.get(phase, 0.0) + seconds
    return run.model_copy(update={"phase_seconds": {**run.phase_seconds, phase: total}})


def run_json(run: RunRecord) -> str:
    """Return the text of `run.json`."""
    return run.model_dump_json(indent=2) + "\n"


def _device_record(requested: LimitsConfig, resolved: SearchConfig, device: Device) -> DeviceRecord:
    runtime = device.runtime(resolved.runtime)
    limits = tuple(
        LimitRecord(
            name=name,
            value=value,
            origin="option"
            if getattr(requested, field) is not None
            else "task"
            if name == "weights"  # which no device bounds
            else "device",
        )
        for name, field in LIMIT_FIELDS.items()
        if (value := getattr(resolved.limits, field)) is not None
    )
    return DeviceRecord(
        name=device.name,
        core=device.core,
        clock_hz=resolved.clock_hz or device.clock_hz,
        runtime=runtime.name,
        runtime_version=runtime.version,
        basis=backend_of(device).basis,
        latency_risk=resolved.limits.risk,
        limits=limits,
    )
