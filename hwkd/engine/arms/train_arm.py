"""One training of a student that may ship: trained, quantised, scored.

It is the same for a search, its controls and `hwkd distill`, in a process of its own or in this
one. With an end it plans its time: what scoring takes is measured before the training starts.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from hwkd.core.errors import HwkdError, InterruptedTrial, RunFolderError
from hwkd.core.final_record import PairRecord, QuantisationChoiceRecord
from hwkd.core.metric import Scores, ScoresRecord
from hwkd.core.progress import Progress, silent
from hwkd.core.strict_model import read_record
from hwkd.core.teaching import TeacherSource
from hwkd.core.trial import EpochRecord, TrialRecord
from hwkd.deploy.to_onnx import export_onnx
from hwkd.distill.adapters import describe_adapter
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.int8_methods import int8_recipe
from hwkd.engine.arms.checkpoints import arm_checkpoints, to_log
from hwkd.engine.arms.evaluation import (
    deploy_student,
    judge_student,
    require_same_outputs,
    save_student,
    student_criterion,
    student_logits,
    train_student,
)
from hwkd.engine.arms.jobs import write_progress
from hwkd.engine.arms.orders import (
    ORDER_FILE,
    ArmOrder,
    ArmResult,
    order_candidate,
    write_order,
    write_result,
)
from hwkd.engine.arms.quantise import QuantisationData, QuantisationSettings, quantise_student
from hwkd.engine.arms.recipes import Arm, arm_named
from hwkd.engine.run.prepared import load_context
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.hardware import threads_per_worker
from hwkd.engine.setup.screening import Candidate
from hwkd.io.student_folder import StudentFiles
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.tasks.base import SplitName, TaskData
from hwkd.train.checkpoint import Checkpoints
from hwkd.train.loop import Criterion, TrainConfig
from hwkd.train.weights_file import WeightsError, fill_module

__all__ = ["main", "run", "score_brief_weights", "train_arm"]

# How often a file is quantised and scored after the training: three ways to find ranges, three
# corrections that take about as long again. The test split is answered twice, in float and in int8.
_SCORINGS, _TESTS = 10.0, 3.0
# Of the time before its end, a training leaves at least half for itself.
_LEAST_TRAINING_SHARE = 0.5
# Kept for another training, with simulated rounding, where int8 cost the candidate accuracy.
_ROUNDING_SHARE = 0.15
_COMPARED = 16
_ROUNDING = "train with simulated int8 rounding"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Student:
    """A student in float that is to be quantised and scored.

    Attributes:
        candidate: the network with its cost.
        arm: what it learned by.
        module: on the processor, in evaluation mode.
        config: of its training.
        epochs: history.
        epochs_made: passes, with the fraction of the last one.
        samples: that an epoch drew.
        state: of adapters and memories, for a training that goes on.
        pairs: layers that feature methods compared.
    """

    candidate: Candidate
    arm: Arm
    module: StudentModule
    config: TrainConfig
    epochs: tuple[EpochRecord, ...]
    epochs_made: float
    samples: int
    state: Mapping[str, Tensor]
    pairs: tuple[PairRecord, ...] = ()


def train_arm(
    order: ArmOrder,
    context: SearchContext,
    folder: Path,
    *,
    progress: Progress = silent,
    check: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = to_log,
) -> ArmResult:
    """Train, quantise and score what was ordered; one that was killed goes on where it was.

    Args:
        order: of one arm and repetition.
        context: of the run.
        folder: of the order; the files of the student and, last of all, the result go there.
        progress: told about every epoch.
        check: called before every step; raises to stop.
        say: told in one line when a checkpoint cannot be used or written.

    Raises:
        ZeroGradientError: if a term has no gradient at the student in its first steps.
    """
    candidate = order_candidate(order, context)
    arm = arm_named(order.arm, context.methods, context.data.head.kind)
    training = context.full_training(
        candidate.layers,
        repetition=order.repetition,
        epochs=order.epochs,
        methods=arm.methods,
        budget_s=_training_budget_s(order, context, candidate),
    )
    begun, config = time.monotonic(), training.config

    def tell(record: EpochRecord) -> None:
        ratio = record.epoch / config.epochs
        if config.time_budget_s:  # 0 where it was used up before the first step
            ratio = max(ratio, (time.monotonic() - begun) / config.time_budget_s)
        write_progress(folder, ratio)
        name = f"{order.arm} (seed {order.repetition})"
        progress(name, record.epoch, config.epochs, _terms(record))

    checkpoints = arm_checkpoints(folder, context, training, arm, key=candidate.layers.key, say=say)
    trained = train_student(
        candidate.layers,
        context,
        training,
        arm=arm,
        on_epoch=tell,
        check=check,
        checkpoints=checkpoints,
    )
    criterion = trained.criterion
    learned = context.learned_from(arm.methods)
    student = _Student(
        candidate=candidate,
        arm=arm,
        module=trained.module.cpu(),
        config=config,
        epochs=trained.result.epochs,
        epochs_made=trained.result.epochs_made,
        samples=min(len(learned), config.samples_per_epoch or len(learned)),
        state=criterion.state_dict() if isinstance(criterion, DistillCriterion) else {},
        pairs=_pairs(arm, criterion),
    )
    result = _finish(
        order, context, student, folder, progress=progress, check=check, checkpoints=checkpoints
    )
    checkpoints.remove()
    return result


def score_brief_weights(
    store: RunFolder, best: TrialRecord, context: SearchContext, order: ArmOrder
) -> ArmResult:
    """Deploy the weights of a candidate as they are: they ship where no full training was better.

    Args:
        store: of the run.
        best: the candidate.
        context: of the search.
        order: names the folder; nothing is trained.
    """
    folder = write_order(store.path, order)
    candidate = order_candidate(order, context)
    module = build_module(candidate.layers, seed=0)
    weights = store.weights_of(best)
    try:
        fill_module(module, weights)
    except WeightsError as error:
        raise RunFolderError(f"{weights}: the student's weights: {error}") from error
    fidelity = best.fidelity or context.fidelity
    student = _Student(
        candidate=candidate,
        arm=arm_named(order.arm, context.methods, context.data.head.kind),
        module=module.eval(),
        config=context.brief_training(candidate.layers, fidelity=fidelity).config,
        epochs=best.epochs,
        epochs_made=float(len(best.epochs)) if best.epochs_made is None else best.epochs_made,
        samples=context.epoch_samples(fidelity),
        state={},
    )
    return _finish(order, context, student, folder)


def main(run_folder: Path, folder: Path, parent_pid: int) -> int:
    """Train the order in `folder`; returns the exit code."""

    def check() -> None:
        if os.getppid() != parent_pid:
            raise InterruptedTrial

    torch.set_num_threads(threads_per_worker(1))  # the parent has set this training's share
    try:
        path = folder / ORDER_FILE
        order = read_record(ArmOrder, path.read_bytes(), where=str(path), what="training order")
        train_arm(order, load_context(RunFolder(run_folder)), folder, check=check)
    except InterruptedTrial:
        return 1
    except HwkdError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def run(arguments: Sequence[str], parent_pid: int | str) -> int:
    """Be a training; its arguments are RUN FOLDER; see `hwkd.engine.arms.children`."""
    run_folder, folder = arguments
    return main(Path(run_folder), Path(folder), int(parent_pid))


def _training_budget_s(
    order: ArmOrder, context: SearchContext, candidate: Candidate
) -> float | None:
    """Return how long to train so that quantising and scoring end in time; None is no bound."""
    if order.end_s is None:
        return None
    first_s, _ = _scored(context, candidate)
    scoring_s, asking_s = _scored(context, candidate)
    tests = _TESTS * len(context.data.test) / max(1, len(context.data.validation))
    left_s = order.end_s - time.monotonic()
    if order.loses_in_int8:
        left_s *= 1.0 - _ROUNDING_SHARE
    # The first takes ten times as long as the next; should others work here then, it is in reserve.
    after_s = first_s + scoring_s * _SCORINGS + asking_s * tests
    return max(_LEAST_TRAINING_SHARE * left_s, left_s - after_s)


def _scored(context: SearchContext, candidate: Candidate) -> tuple[float, float]:
    """Return what quantising and asking an untrained student takes, and asking alone; seconds."""
    begun = time.monotonic()
    with TemporaryDirectory(prefix="hwkd-pace-") as temporary:
        untrained = deploy_student(
            build_module(candidate.layers, seed=0).eval(),
            candidate.layers,
            Path(temporary),
            calibration=context.calibration,
            ranges="auto",
        )
        asked = time.monotonic()
        student_logits(untrained.int8_path, context.data.validation.inputs)
        ended = time.monotonic()
    return ended - begun, ended - asked


def _finish(
    order: ArmOrder,
    context: SearchContext,
    student: _Student,
    folder: Path,
    *,
    progress: Progress = silent,
    check: Callable[[], None] = lambda: None,
    checkpoints: Checkpoints | None = None,
) -> ArmResult:
    """Export, quantise and score a trained student; its result comes last."""
    files = StudentFiles(folder)
    export_onnx(student.module, student.candidate.layers, files.float_path)
    few = context.data.validation.inputs[:_COMPARED]
    require_same_outputs(student.module, files.float_path, few)
    quantisation = _quantised(
        order, context, student, files, progress=progress, check=check, checkpoints=checkpoints
    )
    save_student(student.module, files.weights_path)
    latency = student.candidate.cost.latency
    logits = student_logits(files.int8_path, context.data.validation.inputs)
    objective = judge_student(
        context, logits, latency_s=None if latency is None else latency.value_s
    )
    result = ArmResult(
        seed=student.config.seed,
        epochs=max(1, round(student.epochs_made)),
        scores=ScoresRecord(
            validation_float=_scores(context.data, files.float_path, "validation"),
            validation_int8=context.data.head.scores(logits, context.data.validation.labels),
            test_float=_scores(context.data, files.float_path, "test"),
            test_int8=_scores(context.data, files.int8_path, "test"),
        ),
        objective=objective,
        samples_seen=round(student.epochs_made * student.samples),
        quantisation=quantisation,
        pairs=student.pairs,
    )
    write_result(folder, result, student.epochs)
    return result


def _quantised(
    order: ArmOrder,
    context: SearchContext,
    student: _Student,
    files: StudentFiles,
    *,
    progress: Progress,
    check: Callable[[], None],
    checkpoints: Checkpoints | None,
) -> QuantisationChoiceRecord:
    """Write the int8 file; a training with simulated rounding goes on with data and methods."""
    # Apple's GPUs have no float64, which simulated rounding needs for biases.
    is_mps = context.accelerator.type == "mps"
    here = context.on(torch.device("cpu")) if is_mps else context
    arm, layers = student.arm, student.candidate.layers
    goes_on = int8_recipe(arm.methods)

    def criterion(rounding: FakeQuantStudent, own: TeacherSource | None) -> Criterion:
        made = student_criterion(
            here,
            rounding,
            layers,
            goes_on.methods,
            student.config,
            source=own if goes_on.follows_itself else None,
        )
        if isinstance(made, DistillCriterion):
            known = made.state_dict()
            made.load_state_dict({name: student.state.get(name, t) for name, t in known.items()})
        return made

    learned = here.learned_from(arm.methods)
    validation, chosen = context.data.validation, context.config.quantisation
    settings = QuantisationSettings(
        calibration=chosen.calibration,
        qat=chosen.qat,
        full_epochs=student.config.epochs,
        batch_size=student.config.batch_size,
        seed=student.config.seed,
        end_s=order.end_s,
    )

    def tell(stage: str, record: EpochRecord) -> None:
        progress(stage, record.epoch, settings.training().epochs, _terms(record))

    return quantise_student(
        files.float_path,
        files.int8_path,
        layers,
        QuantisationData(
            calibration=context.calibration,
            batches=learned.batches,
            criterion=criterion,
            validation_inputs=validation.inputs,
            validation_labels=validation.labels,
            head=context.data.head,
        ),
        settings,
        on_epoch=tell,
        check=check,
        checkpoints=checkpoints,
    )


def _terms(record: EpochRecord) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in record.losses.items())


def _scores(data: TaskData, onnx_path: Path, name: SplitName) -> Scores:
    """Return every metric of the task, of a file over a split."""
    split = data.split(name)
    return data.head.scores(student_logits(onnx_path, split.inputs), split.labels)


def _pairs(arm: Arm, criterion: Criterion) -> tuple[PairRecord, ...]:
    if not isinstance(criterion, DistillCriterion):
        return ()
    return tuple(
        PairRecord(
            method=entry.method.name,
            student=pair.student,
            teacher=pair.teacher,
            student_shape=pair.student_shape,
            teacher_shape=pair.teacher_shape,
            adapter=describe_adapter(entry.method, pair.student_shape, pair.teacher_shape),
        )
        for entry in arm.methods
        for pair in criterion.pairs.get(entry.method.name, ())
    )
