"""`hwkd distill` from its request to a folder: student, data, teacher, training, files, verdict."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hwkd.core.errors import ConfigError
from hwkd.core.progress import Progress, silent
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.arms.arm import DistilSettings
from hwkd.engine.arms.arm_report import DistilReport, make_report
from hwkd.engine.arms.evaluation import save_student
from hwkd.engine.arms.quantise import QuantisationSettings
from hwkd.engine.arms.quantise_arm import quantise_distilled
from hwkd.engine.arms.student_folder import write_student
from hwkd.engine.arms.trainings import DistilOutcome, distil_student
from hwkd.engine.distill.pairs import paired_with, parse_pairs
from hwkd.engine.distill.record import distilled_record
from hwkd.engine.distill.request import DistilRequest, WantedMethods, wanted_methods
from hwkd.engine.distill.resolve import ResolvedStudent, resolve_student, stage_importance
from hwkd.engine.setup.context import accelerator_device
from hwkd.engine.setup.teacher import find_teacher, suitable_method
from hwkd.engine.setup.transfer import TransferSet, read_unlabelled, transfer_set
from hwkd.io.student_folder import StudentFiles
from hwkd.tasks.base import TaskData
from hwkd.train.augment import choose_augmentation
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher import Teacher

__all__ = ["DistilReport", "DistilRequest", "run_distillation"]


def run_distillation(request: DistilRequest, *, progress: Progress = silent) -> DistilReport:
    """Train the student and write its folder.

    Raises:
        HwkdError: if anything that was asked for cannot be; before any training.
    """
    if request.out.exists() and (not request.out.is_dir() or any(request.out.iterdir())):
        raise ConfigError(f"--out {request.out}: is in use; give a new or an empty folder")
    started = time.monotonic()
    wanted = wanted_methods(request)
    resolved = resolve_student(request, progress=progress)
    transfer = _transfer(request, resolved.data)
    settings = _settings(request, resolved, wanted)
    methods, teacher = wanted.entries, None
    if wanted.ask_teacher:
        teacher = find_teacher(
            request.teachers,
            resolved.config,
            resolved.data,
            weights=request.teacher_weights,
            device=settings.device,
            progress=progress,
        )
        methods = methods or (suitable_method(teacher, resolved.data, progress=progress),)
    if request.pairs:
        methods = paired_with(methods, parse_pairs(request.pairs))
    outcome = distil_student(
        resolved.layers, transfer, teacher, methods, settings, progress=progress
    )
    report = make_report(request.out, teacher, methods, outcome)
    quantisation = QuantisationSettings(
        calibration=request.calibration,
        qat=request.qat,
        full_epochs=settings.epochs,
        batch_size=settings.batch_size,
        seed=derive_seed(resolved.config.seed, "quantise"),
    )
    trained = _Trained(
        request=request,
        resolved=resolved,
        teacher=teacher,
        outcome=outcome,
        report=report,
        started=started,
    )
    return _write(trained, quantisation, progress)


def _transfer(request: DistilRequest, data: TaskData) -> TransferSet:
    unlabelled = None
    if request.unlabelled is not None:
        unlabelled = read_unlabelled(
            request.unlabelled, input_shape=data.input_shape, pipeline=data.pipeline
        )
    if request.views == 1:
        return transfer_set(data, unlabelled=unlabelled)
    seeds = [derive_seed(request.seeds[0], "distil", f"view {i}") for i in range(request.views)]
    augmentation = choose_augmentation(data.train)
    return transfer_set(data, unlabelled=unlabelled, copy_seeds=seeds, augmentation=augmentation)


# Unless asked for more: a method's gain shows by then, and every arm and seed costs as much.
_MOST_EPOCHS = 60
_LEARNING_RATE = 0.02


def _settings(
    request: DistilRequest, resolved: ResolvedStudent, wanted: WantedMethods
) -> DistilSettings:
    training = resolved.config.training
    if not training.full_epochs:
        raise ValueError("the configuration was not resolved")
    return DistilSettings(
        epochs=request.epochs or min(training.full_epochs, _MOST_EPOCHS),
        batch_size=training.batch_size or (64 if len(resolved.data.train) < 10_000 else 128),
        learning_rate=training.learning_rate or _LEARNING_RATE,
        seeds=request.seeds,
        calibration=request.calibration,
        calibration_seed=resolved.config.seed,
        with_controls=request.with_controls,
        importance=stage_importance(resolved) if wanted.by_hardware else None,
        stages=tuple(path for _, path in parse_pairs(request.pairs)),
        device=accelerator_device(request.accelerator),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trained:
    """What there is when the trainings are over."""

    request: DistilRequest
    resolved: ResolvedStudent
    teacher: Teacher | None
    outcome: DistilOutcome
    report: DistilReport
    started: float


def _write(
    trained: _Trained, quantisation: QuantisationSettings, progress: Progress
) -> DistilReport:
    """Write the folder, all at once; returns the report with what quantisation did."""
    resolved, outcome, report = trained.resolved, trained.outcome, trained.report
    student = outcome.exported.student
    with TemporaryDirectory(prefix="hwkd-distill-") as temporary:
        files = StudentFiles(Path(temporary))
        export_onnx(student, resolved.layers, files.float_path)
        found = quantise_distilled(
            files,
            resolved.layers,
            resolved.data,
            outcome.exported,
            quantisation,
            calibration_seed=resolved.config.seed,
            progress=progress,
        )
        report = replace(report, quantisation=found)
        save_student(student, files.weights_path)
        record = distilled_record(
            trained.request,
            resolved,
            outcome,
            report,
            files,
            teacher=trained.teacher,
            seconds=time.monotonic() - trained.started,
        )
        others = {"distill.json": json.dumps(report.as_dict(), indent=2) + "\n"}
        write_student(report.out, files, record, others=others)
    return report
