"""Synthetic but consistent records: what a search writes, made without searching anything.

Nothing in here was trained or measured. Costs are sums over the operators, violations follow from
costs and limits, objectives from their terms, as in a real run.

In tests/, `python -m support.synthetic_run FOLDER [TRIALS]` writes run.json and trials.jsonl. What
is in tests/golden/ are files of one schema version: add a folder for a new version, never rewrite
one.
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
from hwkd.core.measure import CostEstimate
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
    ObjectiveRecord,
    TrialRecord,
)
from hwkd.core.verdict_record import ArmRecord, ArmScores, Gain, Verdict
from hwkd.io.run_files import RUN_FILE, TRIALS_FILE
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.steps.normalise import Normalise
from support.synthetic_costs import (
    ALPHA,
    BETA,
    CLOCK_HZ,
    GAMMA,
    LIMITS,
    SPACES,
    TARGET_S,
    layer_rows,
    profile_of,
    student_with_cost,
    violations_of,
)


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
    spec, cost = student_with_cost(space, width, depth)
    violations = violations_of(cost)
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
        profile=profile_of(cost, random),
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
    rows = layer_rows(best.spec.space, int(params["width"]), int(params["depth"]))
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
