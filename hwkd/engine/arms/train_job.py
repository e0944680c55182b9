"""One training of a student that may ship, in a process of its own.

It trains, quantises and scores what `job.json` in the folder asks for, and plans its own time: what
scoring takes is measured before the training starts.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from hwkd.core.errors import HwkdError, InterruptedTrial, RunFolderError
from hwkd.core.metric import ScoresRecord
from hwkd.core.student import Layers
from hwkd.core.trial import EpochRecord, TrialRecord
from hwkd.deploy.to_onnx import export_onnx
from hwkd.distill.int8_methods import int8_recipe
from hwkd.distill.sources import TeacherSource
from hwkd.engine.arms.evaluation import (
    deploy_student,
    judge_student,
    save_student,
    student_criterion,
    student_logits,
    train_student,
)
from hwkd.engine.arms.jobs import (
    HISTORY_FILE,
    JOB_FILE,
    PROGRESS_FILE,
    SCORES_FILE,
    JobScores,
    TrainJob,
    history_json,
    job_folder,
)
from hwkd.engine.arms.quantise import QuantisationData, QuantisationSettings, quantise_student
from hwkd.engine.arms.recipes import Arm, arm_named
from hwkd.engine.arms.score import file_scores
from hwkd.engine.run.prepared import load_context
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.context import SearchContext, threads_per_worker
from hwkd.io.run_text import write_text
from hwkd.io.student_folder import StudentFiles
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.train.batches import TensorBatches
from hwkd.train.loop import Criterion, TrainConfig, TrainResult
from hwkd.train.weights_file import WeightsError, fill_module

__all__ = ["main", "run", "score_brief_weights"]

# How often a file is quantised and scored after the training: three ways to find ranges, three
# corrections that take about as long again. The test split is answered twice, in float and in int8.
_SCORINGS, _TESTS = 10.0, 3.0
# Of the time before its end, a training leaves at least half for itself.
_LEAST_TRAINING_SHARE = 0.5
# Kept for another training, with simulated rounding, where int8 cost the candidate accuracy.
_ROUNDING_SHARE = 0.15


def main(run: Path, folder: Path, parent_pid: int) -> int:
    """Run the job in `folder`; returns the exit code."""

    def check() -> None:
        if os.getppid() != parent_pid:
            raise InterruptedTrial

    torch.set_num_threads(threads_per_worker(1))  # the parent has set this job's share
    try:
        job = TrainJob.model_validate_json((folder / JOB_FILE).read_text())
        _run(job, load_context(RunFolder(run)), folder, check)
    except InterruptedTrial:
        return 1
    except HwkdError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def score_brief_weights(
    store: RunFolder, best: TrialRecord, context: SearchContext, job: TrainJob
) -> JobScores:
    """Deploy the weights of a candidate as they are: they ship where no full training was better.

    Args:
        store: of the run.
        best: the candidate.
        context: of the search.
        job: names the folder; nothing is trained.
    """
    folder = job_folder(store, job)
    folder.mkdir(parents=True, exist_ok=True)
    layers = context.screen.candidate(job.spec.to_spec()).layers
    module = build_module(layers, seed=0)
    weights = store.weights_of(best)
    try:
        fill_module(module, weights)
    except WeightsError as error:
        raise RunFolderError(f"{weights}: the student's weights: {error}") from error
    module.eval()
    config = context.brief_training(layers).config
    write_text(folder / JOB_FILE, job.model_dump_json())
    epochs_made = float(len(best.epochs)) if best.epochs_made is None else best.epochs_made
    result = TrainResult(
        epochs=best.epochs, steps=0, epochs_made=epochs_made, ended_by="epochs", seconds=0.0
    )
    return _finish(job, context, folder, layers, module, config, result, check=lambda: None)


def _run(job: TrainJob, context: SearchContext, folder: Path, check: Callable[[], None]) -> None:
    layers = context.screen.candidate(job.spec.to_spec()).layers
    training = context.full_training(
        layers,
        repetition=job.repetition,
        epochs=job.epochs,
        budget_s=_training_budget_s(job, context, layers),
    )
    begun, config = time.monotonic(), training.config

    def on_epoch(record: EpochRecord) -> None:
        ratio = record.epoch / config.epochs
        if config.time_budget_s is not None:
            ratio = max(ratio, (time.monotonic() - begun) / config.time_budget_s)
        write_text(folder / PROGRESS_FILE, json.dumps({"ratio": min(1.0, ratio)}))

    module, result = train_student(
        layers,
        context,
        training,
        arm=arm_named(job.arm, context.methods),
        on_epoch=on_epoch,
        check=check,
    )
    _finish(job, context, folder, layers, module.cpu(), config, result, check=check)


def _training_budget_s(job: TrainJob, context: SearchContext, layers: Layers) -> float | None:
    """Return how long to train so that quantising and scoring end in time; None is no bound."""
    if job.end_s is None:
        return None
    begun = time.monotonic()
    with TemporaryDirectory(prefix="hwkd-pace-") as temporary:
        untrained = deploy_student(
            build_module(layers, seed=0).eval(),
            layers,
            Path(temporary),
            calibration=context.calibration,
            ranges="auto",
        )
        asked = time.monotonic()
        student_logits(untrained.int8_path, context.data.validation.inputs)
        ended = time.monotonic()
    scoring_s = ended - begun
    tests = _TESTS * len(context.data.test) / max(1, len(context.data.validation))
    left_s = job.end_s - time.monotonic()
    if job.loses_in_int8:
        left_s *= 1.0 - _ROUNDING_SHARE
    after_s = scoring_s * _SCORINGS + (ended - asked) * tests
    return max(_LEAST_TRAINING_SHARE * left_s, left_s - after_s)


def _finish(
    job: TrainJob,
    context: SearchContext,
    folder: Path,
    layers: Layers,
    module: StudentModule,
    config: TrainConfig,
    result: TrainResult,
    *,
    check: Callable[[], None],
) -> JobScores:
    """Export, quantise and score a trained student; `scores.json` comes last."""
    files = StudentFiles(folder)
    export_onnx(module, layers, files.float_path)
    quantisation = quantise_student(
        files.float_path,
        files.int8_path,
        layers,
        _quantisation_data(context, layers, arm_named(job.arm, context.methods), config),
        _quantisation_settings(context, config, job.end_s),
        check=check,
    )
    save_student(module, files.weights_path)
    cost = context.screen.candidate(job.spec.to_spec()).cost
    latency_s = None if cost.latency is None else cost.latency.value_s
    logits = student_logits(files.int8_path, context.data.validation.inputs)
    objective = judge_student(context, logits, latency_s=latency_s)
    per_epoch = min(len(context.data.train), config.samples_per_epoch or len(context.data.train))
    scores = JobScores(
        seed=config.seed,
        epochs=max(1, round(result.epochs_made)),
        scores=ScoresRecord(
            validation_int8=context.data.head.scores(logits, context.data.validation.labels),
            test_float=file_scores(files.float_path, context.data, "test"),
            test_int8=file_scores(files.int8_path, context.data, "test"),
        ),
        objective=objective,
        samples_seen=round(result.epochs_made * per_epoch),
        quantisation=quantisation,
    )
    write_text(folder / HISTORY_FILE, history_json(result.epochs))
    write_text(folder / SCORES_FILE, scores.model_dump_json())
    return scores


def _quantisation_data(
    context: SearchContext, layers: Layers, arm: Arm, config: TrainConfig
) -> QuantisationData:
    """Return what the int8 form is made and judged with; a control never sees the teacher."""
    # Apple's GPUs have no float64, which simulated rounding needs for biases.
    device = torch.device("cpu") if context.accelerator.type == "mps" else context.accelerator
    logits = context.teacher_train_logits
    here = replace(
        context,
        train_inputs=context.train_inputs.to(device),
        train_labels=context.train_labels.to(device),
        teacher_train_logits=None if logits is None else logits.to(device),
    )
    goes_on = int8_recipe(arm.methods)

    def criterion(student: FakeQuantStudent, own: TeacherSource) -> Criterion:
        source = own if goes_on.follows_itself else None
        return student_criterion(here, student, layers, goes_on.methods, config, source=source)

    validation = context.data.validation
    return QuantisationData(
        calibration=context.calibration,
        batches=TensorBatches([here.train_inputs], here.train_labels),
        criterion=criterion,
        validation_inputs=validation.inputs,
        validation_labels=validation.labels,
        head=context.data.head,
    )


def _quantisation_settings(
    context: SearchContext, config: TrainConfig, end_s: float | None
) -> QuantisationSettings:
    chosen = context.config.quantisation
    return QuantisationSettings(
        calibration=chosen.calibration,
        qat=chosen.qat,
        full_epochs=config.epochs,
        batch_size=config.batch_size,
        seed=config.seed,
        end_s=end_s,
    )


def run(arguments: Sequence[str], parent_pid: int | str) -> int:
    """Be a training; its arguments are RUN FOLDER; see `hwkd.engine.arms.children`."""
    run_folder, job = arguments
    return main(Path(run_folder), Path(job), int(parent_pid))
