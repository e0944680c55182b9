"""Synthetic but consistent records: what a search writes, made without searching anything.

Nothing in here was trained or measured. Costs are sums over the operators, violations follow from
costs and limits, objectives from their terms, as in a real run.

`python tests/support/synthetic_run.py FOLDER [TRIALS]` writes run.json and trials.jsonl. What is in
tests/golden/ are files of one schema version: add a folder for a new version, never rewrite one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

from hwkd.core.final_record import (
    FinalRecord,
    QuantisationChoiceRecord,
    QuantisationRecord,
)
from hwkd.core.measure import CostEstimate, LatencyEstimate, OpCost, OpShare, Profile
from hwkd.core.metric import ScoresRecord
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.run_record import (
    DataRecord,
    DeviceRecord,
    EnvironmentRecord,
    FeasibilityRecord,
    LimitRecord,
    RunRecord,
    SplitRecord,
    TeacherRecord,
)
from hwkd.core.student import Layer, Layers, StudentSpec
from hwkd.core.trial import (
    EpochRecord,
    LimitName,
    ObjectiveRecord,
    TrialRecord,
    ViolationRecord,
)
from hwkd.core.verdict_record import ArmRecord, ArmScores, Gain, Verdict
from hwkd.io.run_files import RUN_FILE, TRIALS_FILE
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.steps.normalise import Normalise

CLOCK_HZ = 216e6
CODE_BYTES = 41_000
RUNTIME_RAM_BYTES = 6_400
TARGET_S = 0.004
ALPHA, BETA, GAMMA = 1.0, 0.1, 0.5
LIMITS: dict[LimitName, float] = {"latency": 0.02, "ram": 14_336, "flash": 131_072}
SPACES = ("depthwise", "linear_attention", "narrow_deep")
_CYCLES_PER_MAC = {"depthwise": 1.9, "linear_attention": 1.4, "narrow_deep": 1.2}


def make_run(*, trials: int = 40, seed: int = 7) -> tuple[RunRecord, tuple[TrialRecord, ...]]:
    """Return a finished weighted search over three spaces on a device with three limits."""
    random = Random(seed)
    records: list[TrialRecord] = []
    for number in range(trials):
        records.append(_trial(number, random, records))
    best = min(
        (record for record in records if record.objective is not None and record.cost is not None),
        key=lambda record: record.objective.value if record.objective else 0.0,
    )
    return _run(best, trials), tuple(records)


def write_run(folder: Path, run: RunRecord, records: tuple[TrialRecord, ...]) -> None:
    """Write the two files as the engine does."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RUN_FILE).write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
    lines = "".join(record.model_dump_json(exclude_defaults=False) + "\n" for record in records)
    (folder / TRIALS_FILE).write_text(lines, encoding="utf-8")


def _trial(number: int, random: Random, earlier: list[TrialRecord]) -> TrialRecord:
    started_at = f"2026-01-05T10:{number % 60:02d}:00+00:00"
    space = SPACES[number % 3]
    if number == 17:
        first = next(record for record in earlier if record.state == "completed")
        return TrialRecord(
            number=number,
            state="duplicate",
            reason=f"same student as trial {first.number}",
            spec=first.spec,
            seed=number,
            cost=first.cost,
            scores=first.scores,
            objective=first.objective,
            started_at=started_at,
            duration_s=0.004,
        )
    width = random.choice((8, 12, 16, 24, 32, 48))
    depth = random.choice((3, 4, 5, 6))
    spec, cost = _student(space, width, depth)
    violations = _violations(cost)
    if violations:
        worst = violations[0]
        return TrialRecord(
            number=number,
            state="rejected",
            reason=f"over the {worst.limit_name} limit by {100 * worst.excess_ratio:.1f}%",
            spec=spec,
            seed=number,
            violations=violations,
            cost=cost,
            macs_fvcore=None,
            started_at=started_at,
            duration_s=0.001,
        )
    if number in {11, 24}:
        reason = "loss is not finite in epoch 2" if number == 11 else "took longer than 600 s"
        return TrialRecord(
            number=number,
            state="failed",
            reason=reason,
            spec=spec,
            seed=number,
            cost=cost,
            started_at=started_at,
            duration_s=1.4 if number == 11 else 600.0,
        )
    return _completed(number, random, spec, cost, started_at)


def _completed(
    number: int, random: Random, spec: StudentSpec, cost: CostEstimate, started_at: str
) -> TrialRecord:
    error = round(0.012 + 0.35 / (cost.params / 100) ** 0.5 * random.uniform(0.7, 1.5), 6)
    divergence = round(0.04 + 1.8 * error, 6)
    overrun = max(0.0, (cost.latency_s or 0.0) / TARGET_S - 1)
    float_error = max(0.0, error - 0.004)
    return TrialRecord(
        number=number,
        state="completed",
        spec=spec,
        seed=number,
        cost=cost,
        macs_fvcore=cost.macs,
        scores=ScoresRecord(
            validation_float={"accuracy": 1 - float_error},
            validation_int8={"accuracy": 1 - error},
        ),
        objective=ObjectiveRecord(
            task_error=error,
            divergence=divergence,
            latency_overrun=overrun,
            value=ALPHA * error + BETA * divergence + GAMMA * overrun,
        ),
        profile=_profile(cost, random),
        epochs=tuple(
            EpochRecord(
                epoch=epoch,
                learning_rate=0.002 * (1 - epoch / 6),
                losses={"cross_entropy": 2.2 / (epoch + 1), "soft_targets": 3.1 / (epoch + 1)},
            )
            for epoch in range(6)
        ),
        started_at=started_at,
        duration_s=round(random.uniform(1.5, 4.0), 3),
        versions={"torch": "2.13.0", "onnxruntime": "1.20.0"},
    )


def _student(space: str, width: int, depth: int) -> tuple[StudentSpec, CostEstimate]:
    spec = StudentSpec(
        space=space,
        params={"width": width, "depth": depth, "activation": "relu", "squeeze_excite": False},
        input_shape=(1, 28, 28),
        num_outputs=10,
    )
    ops = _ops(space, width, depth)
    latency_s = sum(op.latency_s or 0.0 for op in ops)
    weight_bytes = sum(op.flash_bytes for op in ops)
    return spec, CostEstimate(
        device="cortex-m7",
        runtime="tflm-cmsis-nn",
        clock_hz=CLOCK_HZ,
        dtype="int8",
        macs=sum(op.macs for op in ops),
        params=weight_bytes * 9 // 10,
        latency=LatencyEstimate(
            value_s=latency_s,
            low_s=0.8 * latency_s,
            high_s=1.25 * latency_s,
            basis=f"synthetic, {len(ops)} operators",
        ),
        peak_ram_bytes=max(op.ram_bytes for op in ops) + RUNTIME_RAM_BYTES,
        weight_bytes=weight_bytes,
        flash_bytes=weight_bytes + CODE_BYTES,
        energy_j=0.33 * latency_s,
        per_op=ops,
    )


def _layers(space: str, width: int, depth: int) -> list[tuple[str, int, int, int, int, int]]:
    """Return (name, channels in, channels out, side out, kernel, groups) of each convolution."""
    rows = [("stem", 1, width, 14, 3, 1)]
    side, channels = 14, width
    for index in range(1, depth + 1):
        if index == depth // 2:
            side = 7
        grown = 2 * channels if index == depth // 2 and space != "narrow_deep" else channels
        if space == "depthwise":
            rows.append((f"block{index}_dw", channels, channels, side, 3, channels))
            rows.append((f"block{index}_pw", channels, grown, side, 1, 1))
        else:
            rows.append((f"block{index}_conv", channels, grown, side, 3, 1))
        channels = grown
    return rows


def _ops(space: str, width: int, depth: int) -> tuple[OpCost, ...]:
    ops: list[OpCost] = []
    before = 28 * 28
    for name, channels_in, channels, side, kernel, groups in _layers(space, width, depth):
        macs = side * side * channels * (channels_in // groups) * kernel * kernel
        after = side * side * channels
        weights = channels * (channels_in // groups) * kernel * kernel + 4 * channels
        factor = 6.0 if groups > 1 else _CYCLES_PER_MAC[space]
        ops.append(_op(name, "Conv", macs, factor, before + after, weights))
        ops.append(
            OpCost(
                name=f"{name}_act",
                kind="Relu",
                macs=0,
                latency_s=0.0,
                ram_bytes=after,
                flash_bytes=0,
                fused_into=name,
            )
        )
        before = after
    channels = before // 49
    ops.append(_op("pool", "GlobalAveragePool", before, 2.0, before + channels, 0))
    ops.append(_op("logits", "Gemm", channels * 10, 2.0, channels + 10, channels * 10 + 40))
    return tuple(ops)


def _op(
    name: str, kind: str, macs: int, cycles_per_mac: float, ram_bytes: int, flash_bytes: int
) -> OpCost:
    latency_s = (4000 + cycles_per_mac * macs) / CLOCK_HZ
    return OpCost(
        name=name,
        kind=kind,
        macs=macs if kind != "GlobalAveragePool" else 0,
        latency_s=latency_s,
        ram_bytes=ram_bytes,
        flash_bytes=flash_bytes,
    )


def _violations(cost: CostEstimate) -> tuple[ViolationRecord, ...]:
    needs: dict[LimitName, float] = {
        "latency": cost.latency_at_s("upper") or 0.0,
        "ram": cost.peak_ram_bytes,
        "flash": cost.flash_bytes,
    }
    found = [
        ViolationRecord(limit_name=name, needed=needs[name], limit=limit)
        for name, limit in LIMITS.items()
        if needs[name] > limit
    ]
    return tuple(sorted(found, key=lambda violation: -violation.excess_ratio))


def _profile(cost: CostEstimate, random: Random) -> Profile:
    median_s = 2e-5 + cost.macs * 4e-11
    convolutions = [op for op in cost.per_op if op.kind == "Conv"]
    total = sum(op.macs for op in convolutions)
    shares = [
        OpShare(
            name=f"{op.name}_quant",
            kind="QLinearConv",
            mean_s=median_s * op.macs / total,
            share_ratio=op.macs / total,
        )
        for op in convolutions
    ]
    return Profile(
        median_s=median_s,
        p90_s=1.1 * median_s,
        spread_s=0.05 * median_s,
        runs=100,
        warmup_runs=10,
        threads=1,
        file_bytes=cost.weight_bytes + 9_000,
        file_sha256=f"{random.getrandbits(256):064x}",
        provider="CPUExecutionProvider",
        runtime_version="1.20.0",
        host="synthetic processor",
        per_op=tuple(sorted(shares, key=lambda share: -share.share_ratio)),
    )


def _run(best: TrialRecord, trials: int) -> RunRecord:
    return RunRecord(
        hwkd_version="0.1.0",
        created_at="2026-01-05T10:00:00+00:00",
        status="finished",
        command=("hwkd", "search", "--device", "cortex-m7", "--data", "my digits.npz"),
        seed=7,
        workers=1,
        phase_seconds={
            "data": 0.4,
            "teacher": 31.0,
            "feasibility": 0.9,
            "search": 96.5,
            "full training": 22.0,
            "export": 1.2,
        },
        device=DeviceRecord(
            name="cortex-m7",
            core="Cortex-M7",
            clock_hz=CLOCK_HZ,
            runtime="tflm-cmsis-nn",
            runtime_version="2024-05",
            limits=(
                LimitRecord(name="latency", value=LIMITS["latency"], origin="option"),
                LimitRecord(name="ram", value=LIMITS["ram"], origin="option"),
                LimitRecord(name="flash", value=LIMITS["flash"], origin="device"),
            ),
        ),
        data=_data(),
        teacher=TeacherRecord(
            kind="trained here",
            description="synthetic record of a wide residual network, 1.1 M parameters",
            scores=ScoresRecord(
                validation_float={"accuracy": 0.991}, test_float={"accuracy": 0.989}
            ),
            seconds=31.0,
        ),
        objective=ObjectiveConfig(
            mode="weighted", alpha=ALPHA, beta=BETA, gamma=GAMMA, target_latency_s=TARGET_S
        ),
        feasibility=_feasibility(),
        environment=EnvironmentRecord(
            python="3.11.7",
            platform="Linux x86_64",
            cpu="synthetic processor",
            cores=2,
            accelerator="cpu",
            packages={"torch": "2.13.0", "onnxruntime": "1.20.0", "optuna": "4.2.0"},
        ),
        final=_final(best),
        caveats=(
            f"Synthetic records for tests: none of the {trials} trials was trained.",
            "No latency in this report was taken on a board.",
        ),
    )


def _data() -> DataRecord:
    counts = {"train": 120, "validation": 24, "test": 36}
    return DataRecord(
        task="classify",
        source="synthetic data set (no file)",
        fingerprint="5e" * 32,
        input_shape=(1, 28, 28),
        class_names=tuple(f"digit {digit}" for digit in range(10)),
        splits=tuple(
            SplitRecord(name=name, samples=10 * count, class_counts=(count,) * 10)
            for name, count in counts.items()
        ),
        split_seed=0,
        pipeline=Pipeline(
            steps=(Normalise(mean=(33.3,), std=(78.6,)),),
            raw_shape=(1, 28, 28),
            raw_dtype="uint8",
            raw_low=0,
            raw_high=255,
        ).record(),
        notes=("The validation split was made from train: stratified, seed 0.",),
    )


def _feasibility() -> tuple[FeasibilityRecord, ...]:
    return tuple(
        FeasibilityRecord(
            space=space,
            sampled=500,
            feasible=500 - over,
            binding={"latency": over, "ram": over // 9, "flash": over // 4},
        )
        for space, over in zip(SPACES, (60, 305, 180), strict=True)
    )


def _final(best: TrialRecord) -> FinalRecord:
    assert best.spec is not None
    assert best.cost is not None
    params = best.spec.params
    rows = _layers(best.spec.space, int(params["width"]), int(params["depth"]))
    return FinalRecord(
        trial=best.number,
        spec=best.spec,
        epochs=60,
        seconds=22.0,
        scores=ScoresRecord(
            validation_int8={"accuracy": 0.979},
            test_float={"accuracy": 0.9783},
            test_int8={"accuracy": 0.9767},
        ),
        network=Layers(
            input_shape=best.spec.input_shape,
            layers=tuple(
                Layer(
                    name=name,
                    inputs=(before,),
                    kind="conv",
                    shape=(channels, side, side),
                    kernel=(kernel, kernel),
                    stride=(2, 2) if name == "stem" else (1, 1),
                    groups=groups,
                    activation="relu",
                )
                for before, (name, _, channels, side, kernel, groups) in zip(
                    ("input", *(row[0] for row in rows)), rows, strict=False
                )
            ),
        ),
        cost=best.cost,
        quantisation=QuantisationRecord(
            scheme="ONNX Runtime static QDQ, int8 activations, per-channel int8 weights",
            calibration_samples=256,
            input_scale=0.01272,
            input_zero_point=-95,
        ),
        quantisation_choice=QuantisationChoiceRecord(
            calibration="percentile",
            corrections=("channel equalisation",),
            validation_float=0.981,
            validation_ptq=0.972,
            validation_qat=0.979,
            qat_epochs=12,
            ships="qat",
        ),
        profile=best.profile,
        verdict=Verdict(
            methods=("kd:temperature=2,weight=1",),
            is_taught=True,
            arms=(
                ArmRecord(
                    name="cross-entropy",
                    scores=tuple(
                        ArmScores(seed=seed, test_int8=test)
                        for seed, test in enumerate((0.9683, 0.9711, 0.9694))
                    ),
                ),
            ),
            ships="distilled",
            gain=Gain(
                over="cross-entropy",
                mean=0.0071,
                low=0.0012,
                high=0.013,
                seeds=3,
                confidence=0.95,
                verdict="gain",
            ),
        ),
        history=tuple(
            EpochRecord(
                epoch=epoch,
                learning_rate=0.01 / epoch,
                losses={"cross_entropy": 2.0 / epoch, "kd": 3.0 / epoch},
                grad_norms={"kd": 1.0 / epoch},
            )
            for epoch in (1, 2, 3)
        ),
    )


if __name__ == "__main__":
    write_run(Path(sys.argv[1]), *make_run(trials=int((sys.argv[2:] or ["40"])[0])))
