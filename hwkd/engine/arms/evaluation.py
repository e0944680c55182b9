"""One student trained, exported, quantised and scored: the same steps in a trial and at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from hwkd.core.choices import CalibrationChoice
from hwkd.core.errors import ExportError, RunFolderError
from hwkd.core.final_record import LifelongRecord
from hwkd.core.student import Layers
from hwkd.core.teaching import TeacherSource, TrainingSet
from hwkd.core.trial import EpochRecord, ObjectiveRecord
from hwkd.deploy.calibrate import DEFAULT_CALIBRATION
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.spec import WeightedMethod
from hwkd.distill.taps import student_places
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scheme_course import joined, learned_in_turn, train_scheme
from hwkd.engine.arms.scheme_stages import SchemeData
from hwkd.engine.arms.settled import settle_outputs
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.objective import score_objective
from hwkd.engine.setup.trainings import Training
from hwkd.io.paths import written_atomically
from hwkd.io.student_folder import StudentFiles
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.cohort import Cohort
from hwkd.nn.exits import exits_of
from hwkd.train.checkpoint import Checkpoints
from hwkd.train.course import Course
from hwkd.train.criteria import TaskLoss
from hwkd.train.loop import Criterion, TrainConfig, TrainResult, predict_logits, train_module
from hwkd.train.seeding import derive_seed
from hwkd.train.weights_file import fill_module

# Of candidates: an epoch of a small data set has so few steps that measuring gradients in each
# would cost 4%. The full training measures them in every epoch.
STEPS_BETWEEN_NORMS = 100
_ROUNDING = 1e-3
TRAIN_STAGE = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A student after its training.

    Attributes:
        module: in evaluation mode, on the device that trained.
        criterion: what it minimised; with the adapters and memories that training goes on with.
        exits: the network with its exits; None without any.
        lifelong: what is left of tasks in turn, on test; None without tasks.
    """

    module: StudentModule
    result: TrainResult
    criterion: Criterion
    exits: tuple[Layers, StudentModule] | None = None
    lifelong: LifelongRecord | None = None


def train_student(
    layers: Layers,
    context: SearchContext,
    training: Training,
    *,
    arm: Arm,
    steps_between_norms: int = 1,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
    start_from: Path | None = None,
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Build a student and train it in one of a run's ways.

    Args:
        steps_between_norms: as `DistillCriterion` takes it; 1 is every epoch.
        check: called before every step; raises to stop.
        start_from: file with the weights that it begins with; None draws them.
        checkpoints: where it goes on if it was killed; None begins it and keeps none.

    Raises:
        ZeroGradientError: if a term has no gradient at the student in its first steps.
        ConfigError: if a method cannot run with this student and this teacher.
    """
    train_config = training.config
    if arm.scheme is not None:
        course = train_scheme(
            layers,
            SchemeData.of(context, train_config),
            train_config,
            arm=arm,
            importance=context.importance(layers),
            start_from=start_from,
            on_epoch=on_epoch,
            check=check,
            checkpoints=checkpoints,
        )
        return _settled(_of_course(arm, context, *course), context)
    module = _begun(layers, context, train_config.seed, start_from)
    criterion = student_criterion(
        context,
        module,
        layers,
        arm.methods,
        train_config,
        label_smoothing=training.recipe.label_smoothing if arm.smooths_labels else 0.0,
        steps_between_norms=steps_between_norms,
    )
    learned = context.learned_from(arm.methods)
    result = train_module(
        module,
        learned.batches,
        criterion,
        train_config,
        on_epoch=on_epoch,
        check=check,
        checkpoint=None
        if checkpoints is None
        else checkpoints.stage(TRAIN_STAGE, train_config, leaves_weights=True),
    )
    return _settled(Trained(module=module, result=result, criterion=criterion), context)


def _settled(trained: Trained, context: SearchContext) -> Trained:
    known = context.labelled
    settle_outputs(trained.module, context.data.head, known.copies[0], known.labels)
    return trained


def _begun(
    layers: Layers, context: SearchContext, seed: int, start_from: Path | None
) -> StudentModule:
    module = build_module(layers, seed=seed, kind=context.data.head.kind)
    if start_from is not None:
        fill_module(module, start_from)
    return module.to(context.accelerator)


def _of_course(
    arm: Arm, context: SearchContext, module: StudentModule, course: Course[Cohort]
) -> Trained:
    """Return the student that a scheme exports, and what else its phases came to."""
    test, head = context.data.test, context.data.head
    inputs, labels = (torch.from_numpy(np.array(each)) for each in (test.inputs, test.labels))
    return Trained(
        module=module,
        result=joined(course),
        criterion=TaskLoss(head),
        exits=exits_of(course.finished[-1].student),
        lifelong=learned_in_turn(arm, course, inputs, labels, head),
    )


def student_criterion(
    context: SearchContext,
    student: nn.Module,
    layers: Layers,
    methods: Sequence[WeightedMethod],
    train_config: TrainConfig,
    *,
    source: TeacherSource | None = None,
    label_smoothing: float = 0.0,
    steps_between_norms: int = 1,
) -> Criterion:
    """Return what a student of a run minimises.

    Args:
        student: with the taps of a student, on the device of the context's tensors.
        source: of the teacher's side; None is the run's teacher.
        label_smoothing: of a training on labels alone, 0 to 1.
        steps_between_norms: as `DistillCriterion` takes it.

    Raises:
        ConfigError: if a method cannot run with this student and this teacher.
    """
    if not methods:
        return TaskLoss(context.data.head, label_smoothing=label_smoothing)
    learned = context.learned_from(methods)
    return DistillCriterion(
        methods,
        student=student,
        student_places=student_places(layers),
        source=source or context.source(methods),
        data=TrainingSet(
            copies=learned.copies,
            labels=learned.labels,
            head=context.data.head,
            batch_size=min(train_config.batch_size, len(learned)),
            seed=derive_seed(train_config.seed, "method"),
        ),
        importance=context.importance(layers),
        steps_between_norms=steps_between_norms,
    )


def student_bytes(module: StudentModule) -> bytes:
    """Return a student's weights as safetensors."""
    return save({name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()})


def save_student(module: StudentModule, path: Path) -> None:
    """Write a student's weights as safetensors, whole or not at all.

    Raises:
        RunFolderError: if the disk is full or the folder not writable.
    """
    try:
        with written_atomically(path) as temporary:
            temporary.write_bytes(student_bytes(module))
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot write it: {error.strerror}; free some space and go on with --resume"
        ) from error


def deploy_student(
    module: StudentModule,
    layers: Layers,
    folder: Path,
    *,
    calibration: NDArray[np.float32],
    ranges: CalibrationChoice,
) -> StudentFiles:
    """Write the float and the int8 file of a student into a folder.

    Args:
        ranges: how they are found; "auto" is the default way, as comparing all costs too much.

    Raises:
        ExportError: if the student cannot be quantised.
    """
    files = StudentFiles(folder)
    method = DEFAULT_CALIBRATION if ranges == "auto" else ranges
    export_onnx(module, layers, files.float_path)
    quantise_int8(files.float_path, files.int8_path, calibration, method=method)
    return files


def student_logits(onnx_path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a student's file through ONNX Runtime; shape [samples, classes]."""
    return predict(open_session(onnx_path), inputs)


def require_same_outputs(
    module: StudentModule, onnx_path: Path, inputs: NDArray[np.float32]
) -> None:
    """Refuse a file that computes something else than the network that was trained.

    Args:
        module: on the processor, in evaluation mode.
        inputs: a few, shape [samples, *input_shape].

    Raises:
        ExportError: says by how much they differ.
    """
    ours = predict_logits(module, torch.from_numpy(inputs)).numpy()
    gap, scale = np.abs(student_logits(onnx_path, inputs) - ours).max(), np.abs(ours).max()
    # Folded batch normalisation rounds otherwise; a wrong operator is far outside.
    if not gap <= _ROUNDING * max(1.0, scale):
        raise ExportError(
            f"{onnx_path.name}: differs from the trained network by {gap:.3g} in outputs up to "
            f"{scale:.3g}; nothing is published of it"
        )


def judge_student(
    context: SearchContext, logits_int8: NDArray[np.float32], *, latency_s: float | None
) -> ObjectiveRecord:
    """Return the terms of the objective, and their sum, for a student's outputs on validation.

    Args:
        context: of the search; without a teacher the divergence from it is 0.
        logits_int8: of the int8 file, shape [samples, classes].
        latency_s: of the student; None has no overrun.
    """
    goal, teacher = context.config.objective, context.teacher_validation_logits
    head, labels = context.data.head, context.data.validation.labels
    return score_objective(
        goal,
        task_error=float(head.errors(logits_int8, labels).mean()),
        divergence=0.0
        if teacher is None
        else head.divergence(logits_int8, teacher, temperature=goal.temperature),
        latency_s=latency_s,
    )
