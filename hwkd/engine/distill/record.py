"""What a distillation was, in the form that every finished student is described in."""

from __future__ import annotations

from datetime import UTC, datetime

from hwkd.core.final_record import FinalRecord, LayerRecord, QuantisationChoiceRecord
from hwkd.core.metric import Metric, ScoresRecord
from hwkd.core.run_record import TeacherRecord
from hwkd.core.student_record import NetworkRecord, StudentRecord
from hwkd.core.trial import TrialRecord
from hwkd.core.verdict_record import ArmRecord, ArmScores, Gain, Verdict
from hwkd.engine.arms.arm import ArmResult
from hwkd.engine.arms.arm_report import DistilReport
from hwkd.engine.arms.score import file_scores
from hwkd.engine.arms.student_folder import read_quantisation
from hwkd.engine.arms.trainings import DistilOutcome
from hwkd.engine.distill.request import DistilRequest
from hwkd.engine.distill.resolve import ResolvedStudent, cost_of
from hwkd.engine.run.run_record import make_run_record
from hwkd.engine.setup.calibration import calibration_inputs
from hwkd.engine.setup.config import LimitsConfig
from hwkd.engine.setup.context import accelerator_device
from hwkd.engine.setup.screening import cost_record
from hwkd.io.device_catalog import load_device
from hwkd.io.machine import package_versions
from hwkd.io.student_folder import StudentFiles
from hwkd.train.logit_cache import cached_logits
from hwkd.train.teacher import Teacher

__all__ = ["distilled_record"]


def distilled_record(
    request: DistilRequest,
    resolved: ResolvedStudent,
    outcome: DistilOutcome,
    report: DistilReport,
    files: StudentFiles,
    *,
    teacher: Teacher | None,
    seconds: float,
) -> StudentRecord:
    """Describe the student that ships.

    Args:
        request: what was asked for.
        resolved: student, data and device.
        outcome: of all arms.
        report: what came of them; with the choice of the int8 file.
        files: of the student that ships.
        teacher: that was asked, if any.
        seconds: wall time of it all.
    """
    choice = report.quantisation
    if choice is None:
        raise ValueError("the student was not quantised")
    run = make_run_record(
        requested=resolved.config.model_copy(update={"limits": LimitsConfig()}),
        resolved=resolved.config,
        device=load_device(resolved.config.device),
        data=resolved.data,
        feasibility=(),
        accelerator=accelerator_device(request.accelerator).type,
        command=request.command,
    )
    final = _final(resolved, outcome, report, files, choice, seconds=seconds)
    run = run.model_copy(
        update={
            "made_by": "distill",
            "status": "finished",
            "device": resolved.device or run.device,
            "teacher": _teacher(teacher, resolved),
            "phase_seconds": {"distillation": seconds},
            "final": final,
            "caveats": report.verdict,
        }
    )
    trial = TrialRecord(
        number=final.trial,
        state="completed",
        spec=final.spec,
        seed=request.seeds[0],
        cost=final.cost,
        methods=final.verdict.methods,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        duration_s=seconds,
        versions=dict(package_versions()),
    )
    network = NetworkRecord.of(resolved.layers)
    return StudentRecord(spec=resolved.spec, network=network, run=run, trial=trial)


def _final(
    resolved: ResolvedStudent,
    outcome: DistilOutcome,
    report: DistilReport,
    files: StudentFiles,
    choice: QuantisationChoiceRecord,
    *,
    seconds: float,
) -> FinalRecord:
    ships = outcome.exported
    samples = len(calibration_inputs(resolved.data, resolved.config.seed))
    return FinalRecord(
        trial=0,
        spec=resolved.spec,
        epochs=len(ships.epochs),
        seconds=seconds,
        scores=ScoresRecord(
            validation_float=file_scores(files.float_path, resolved.data, "validation"),
            validation_int8=file_scores(files.int8_path, resolved.data, "validation"),
            test_float=file_scores(files.float_path, resolved.data, "test"),
            test_int8=file_scores(files.int8_path, resolved.data, "test"),
        ),
        layers=tuple(LayerRecord.of(layer) for layer in resolved.layers.layers),
        cost=cost_record(cost_of(resolved)),
        quantisation=read_quantisation(files.int8_path, samples),
        quantisation_choice=choice,
        verdict=_verdict(report, outcome, resolved.data.head.metrics[0]),
        history=ships.epochs,
    )


def _verdict(report: DistilReport, outcome: DistilOutcome, metric: Metric) -> Verdict:
    gain, found = outcome.test_gain, outcome.attribution
    has_interval = gain is not None and gain.seeds > 1
    return Verdict(
        metric=metric,
        methods=report.methods,
        is_taught=outcome.arms[0].arm.is_taught,
        arms=tuple(_arm(result) for result in outcome.arms),
        ships=outcome.exported.arm.name,
        gain=None
        if gain is None or found is None
        else Gain(
            over=found.best_control,
            mean=gain.mean,
            low=gain.low if has_interval else None,
            high=gain.high if has_interval else None,
            seeds=gain.seeds,
            confidence=gain.confidence,
            verdict=gain.verdict,
        ),
    )


def _arm(result: ArmResult) -> ArmRecord:
    return ArmRecord(
        name=result.arm.name,
        methods=result.arm.described(),
        is_taught=result.arm.is_taught,
        scores=tuple(
            ArmScores(
                seed=seed,
                validation_int8=scores.validation,
                test_int8=scores.test,
                validation_float=scores.validation_float,
                test_float=scores.test_float,
            )
            for seed, scores in zip(result.run.seeds, result.scores, strict=True)
        ),
    )


def _teacher(teacher: Teacher | None, resolved: ResolvedStudent) -> TeacherRecord | None:
    if teacher is None:
        return None
    # Computed when the teacher was opened, so this reads the cache.
    data = resolved.data
    logits = cached_logits(teacher, data, split="validation").astype("float32")
    scores = data.head.scores(logits, data.validation.labels)
    return TeacherRecord(
        kind=teacher.kind,
        description=teacher.description,
        scores=ScoresRecord(validation_float=scores),
        seconds=0.0,
        from_cache=teacher.is_from_cache,
        identity=teacher.identity,
    )
