"""One student trained, exported, quantised and scored: the same steps in a trial and at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from hwkd.core.errors import RunFolderError
from hwkd.core.measure import Profile
from hwkd.core.student import Layers
from hwkd.core.trial import EpochRecord, ObjectiveRecord, ProfileRecord, SpecRecord
from hwkd.deploy.calibrate import DEFAULT_CALIBRATION
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.distill.criterion import DistillCriterion, TrainingSet
from hwkd.distill.sources import CachedSource, TeacherSource
from hwkd.distill.spec import WeightedMethod
from hwkd.distill.taps import student_places
from hwkd.engine.arms.quantise import CalibrationChoice
from hwkd.engine.setup.context import SearchContext, Training
from hwkd.engine.setup.methods import Recipe, methods_of
from hwkd.engine.setup.objective import divergence_nats, score_objective
from hwkd.io.paths import written_atomically
from hwkd.nn.build import StudentModule, build_module
from hwkd.train.criteria import CrossEntropy
from hwkd.train.loop import Criterion, TrainConfig, TrainResult, train_module
from hwkd.train.seeding import derive_seed
from hwkd.train.weights_file import fill_module

__all__ = [
    "STEPS_BETWEEN_NORMS",
    "Deployed",
    "deploy_student",
    "judge_student",
    "profile_record",
    "student_bytes",
    "student_criterion",
    "student_logits",
    "train_student",
]

# Of candidates: an epoch of a small data set has so few steps that measuring gradients in each
# would cost 4%. The full training measures them in every epoch.
STEPS_BETWEEN_NORMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """The two files of one trained student."""

    float_path: Path
    int8_path: Path


def train_student(
    layers: Layers,
    context: SearchContext,
    training: Training,
    *,
    recipe: Recipe = "distilled",
    steps_between_norms: int = 1,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    check: Callable[[], None] | None = None,
    methods: Sequence[WeightedMethod] | None = None,
    start_from: Path | None = None,
) -> tuple[StudentModule, TrainResult]:
    """Build a student and train it by the search's methods, or as one of their controls.

    Args:
        layers: the student.
        context: of the search.
        training: how, how long and from which seed.
        recipe: "distilled", or a control.
        steps_between_norms: as `DistillCriterion` takes it; 1 is every epoch.
        on_epoch: hears of every epoch.
        check: called before every step; raises to stop.
        methods: in place of those of the recipe; () is labels alone.
        start_from: file with the weights that it begins with; None draws them.

    Raises:
        ZeroGradientError: if a term has no gradient at the student in its first steps.
    """
    train_config = training.config
    module = build_module(layers, seed=train_config.seed)
    if start_from is not None:
        fill_module(module, start_from)
    module = module.to(context.accelerator)
    result = train_module(
        module,
        [context.train_inputs],
        context.train_labels,
        student_criterion(
            context,
            module,
            layers,
            methods_of(recipe, context.methods) if methods is None else methods,
            train_config,
            label_smoothing=training.recipe.label_smoothing,
            steps_between_norms=steps_between_norms,
        ),
        train_config,
        on_epoch=on_epoch,
        check=check,
    )
    return module, result


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
    """Return what a student of a search minimises.

    Args:
        context: of the search.
        student: with the taps of a student, on the device of the context's tensors.
        layers: its description.
        methods: none is cross-entropy.
        train_config: of the training.
        source: of the teacher's side; None is the search's teacher.
        label_smoothing: of a training on labels alone, 0 to 1.
        steps_between_norms: as `DistillCriterion` takes it.
    """
    if not methods:
        return CrossEntropy(label_smoothing=label_smoothing)
    return DistillCriterion(
        methods,
        student=student,
        student_places=student_places(layers),
        source=source or _cached_source(context),
        data=TrainingSet(
            views=[context.train_inputs],
            labels=context.train_labels,
            classes=context.data.num_outputs,
            batch_size=train_config.batch_size,
            seed=derive_seed(train_config.seed, "method"),
        ),
        steps_between_norms=steps_between_norms,
    )


def _cached_source(context: SearchContext) -> TeacherSource | None:
    logits = context.teacher_train_logits
    return None if logits is None else CachedSource([logits])


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


def spec_json(spec: SpecRecord, layers: Layers) -> str:
    """Return the text of `spec.json`: the choices, and the network that they make.

    The layers are in it so that the network can be built without the search space, which may be a
    file of the user or another version of ours.
    """
    content = {
        "schema_version": 1,
        "spec": spec.model_dump(mode="json"),
        "layers": [asdict(layer) for layer in layers.layers],
    }
    return json.dumps(content, indent=2) + "\n"


def deploy_student(
    module: StudentModule,
    layers: Layers,
    folder: Path,
    *,
    calibration: NDArray[np.float32],
    ranges: CalibrationChoice,
) -> Deployed:
    """Write `student.onnx` and `student_int8.onnx` into a folder.

    Args:
        module: trained.
        layers: its description.
        folder: to write into.
        calibration: inputs that set the ranges.
        ranges: how they are found; "auto" is the default way, as comparing all costs too much.

    Raises:
        ExportError: if the student cannot be quantised.
    """
    deployed = Deployed(float_path=folder / "student.onnx", int8_path=folder / "student_int8.onnx")
    method = DEFAULT_CALIBRATION if ranges == "auto" else ranges
    export_onnx(module, layers, deployed.float_path)
    quantise_int8(deployed.float_path, deployed.int8_path, calibration, method=method)
    return deployed


def student_logits(onnx_path: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a student's file through ONNX Runtime; shape [samples, classes]."""
    return predict(open_session(onnx_path), inputs)


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
    return score_objective(
        goal,
        task_error=context.task.error_ratio(logits_int8, context.data.validation.labels),
        kd_nats=0.0
        if teacher is None
        else divergence_nats(logits_int8, teacher, temperature=goal.temperature),
        latency_s=latency_s,
    )


def profile_record(profile: Profile) -> ProfileRecord:
    """Copy a measurement into the form that is stored."""
    return ProfileRecord.model_validate(asdict(profile))
