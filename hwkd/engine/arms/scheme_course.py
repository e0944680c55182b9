"""A scheme of distillation in the one loop: a stage for each phase, then one student."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from hwkd.core.augmented import inner_layers
from hwkd.core.cohort import (
    STUDENT,
    Exit,
    Network,
    Trained,
    Wide,
)
from hwkd.core.errors import ConfigError
from hwkd.core.final_record import LifelongRecord
from hwkd.core.head import Head
from hwkd.core.student import Layers
from hwkd.core.trial import EpochRecord
from hwkd.core.widened import is_cheap
from hwkd.distill.scheme import Phase
from hwkd.distill.stage_weights import weighed_by_stage
from hwkd.engine.arms.lifelong import lifelong_record
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scheme_stages import SchemeData, stages_of
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.methods import require_scheme_possible
from hwkd.nn.build import StudentModule
from hwkd.nn.cohort import Cohort
from hwkd.train.checkpoint import Checkpoints
from hwkd.train.config import TrainConfig
from hwkd.train.course import Course, Finished, Stage, run_course
from hwkd.train.loop import TrainResult, predict_logits
from hwkd.train.schedule import Clock
from hwkd.train.weights_file import fill_module


def train_scheme(
    layers: Layers,
    data: SchemeData,
    config: TrainConfig,
    *,
    arm: Arm,
    importance: Sequence[float] | None = None,
    start_from: Path | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
    check: Callable[[], None] = lambda: None,
    clock: Clock = time.monotonic,
    checkpoints: Checkpoints | None = None,
) -> tuple[StudentModule, Course[Cohort]]:
    """Train all phases of a scheme; returns the student that is exported, by itself.

    Args:
        layers: of the student.
        data: that is trained on.
        config: of a training of the student alone.
        arm: has a scheme, or its control.
        importance: of each stage of the student, for edges that teach stages; None is alike.
        start_from: file with the weights that the student begins with; None draws them.
        on_epoch: hears of every epoch of every phase, numbered through.
        check: called before every step; raises to stop.
        clock: of a time budget, seconds.
        checkpoints: where it goes on if it was killed; None begins it and keeps none.

    Raises:
        ConfigError: if the scheme cannot run with this student or these data.
    """
    assert arm.scheme is not None
    stages = stages_of(weighed_by_stage(arm.phases(), importance), layers, data, config)
    if start_from is not None:
        stages[0] = _begun(stages[0], start_from)
    made = 0

    def tell(name: str, record: EpochRecord) -> None:
        nonlocal made
        del name
        made += 1
        on_epoch(record.model_copy(update={"epoch": made}))

    course = run_course(stages, on_epoch=tell, check=check, clock=clock, checkpoints=checkpoints)
    last = course.finished[-1].student
    names = [name for name in arm.scheme.exported if last.has(name)]
    if arm.scheme.re_estimates:
        for name in names:
            _estimate_statistics(last.network(name), data)
    return _best(last, names, data), course


def _begun(stage: Stage[Cohort], weights: Path) -> Stage[Cohort]:
    """Return a stage whose student begins with weights."""

    def student(past: Sequence[Finished[Cohort]]) -> Cohort:
        cohort = stage.student(past)
        fill_module(cohort.network(STUDENT), weights)
        return cohort

    return replace(stage, student=student)


def _estimate_statistics(student: nn.Module, data: SchemeData) -> None:
    """Set what normalisations remember to what the student's last weights show of all samples."""
    size = data.training.batch_size
    update_bn(torch.split(data.training.copies[0], size), student)


def joined(course: Course[Cohort]) -> TrainResult:
    """Return how all phases went together."""
    trainings = [finished.training for finished in course.finished]
    records = [record for training in trainings for record in training.epochs]
    return replace(
        trainings[-1],
        epochs=tuple(r.model_copy(update={"epoch": n}) for n, r in enumerate(records, start=1)),
        steps=sum(training.steps for training in trainings),
        epochs_made=sum(training.epochs_made for training in trainings),
        seconds=sum(training.seconds for training in trainings),
    )


def learned_in_turn(
    arm: Arm, course: Course[Cohort], inputs: Tensor, labels: Tensor, head: Head
) -> LifelongRecord | None:
    """Return what is left of each task; None of a scheme without tasks.

    Args:
        inputs: held out, on the processor.
        labels: of them.
        head: of all classes; judges the answers.
    """
    tasks = [phase.task for phase in arm.phases() if phase.task is not None]
    if not tasks or len(tasks) != len(course.finished):
        return None
    return lifelong_record(tasks, course.finished, inputs, labels, head)


def require_possible(arm: Arm, layers: Layers, context: SearchContext) -> None:
    """Refuse, before any training, what a scheme cannot do with this student or these data.

    Raises:
        ConfigError: says what is wrong.
    """
    require_scheme_possible(context.config, context.data.head.kind)
    classes = context.data.head.size
    assert arm.scheme is not None
    if classes < arm.scheme.fewest_classes:
        raise ConfigError(
            f"--scheme: {arm.scheme.describe()} needs {arm.scheme.fewest_classes} classes, and the "
            f"data has {classes}; give fewer sets"
        )
    for phase in arm.phases():
        if phase.task is not None and phase.task.of > classes // 2:
            raise ConfigError(
                f"--scheme: {phase.task.of} tasks, and the data has {classes} classes; a task "
                "needs two of them: give fewer tasks"
            )
        roles = [role for role in phase.roles if isinstance(role, Trained)]
        if any(isinstance(r, Network) and r.is_dense for r in roles) and not is_cheap(layers):
            raise ConfigError(
                f"--scheme: {arm.scheme.name} teaches a student of convolutions in groups by dense "
                "ones, and this student has none; take one of the spaces depthwise or shuffle"
            )
        expansions = [max(role.expansions, default=1) for role in roles if isinstance(role, Wide)]
        if max(expansions, default=1) > 1 and not inner_layers(layers):
            raise ConfigError(
                f"--scheme: {arm.scheme.name}:expansion is of what is inside inverted "
                "bottlenecks, and this student has none; leave it out, or take the space depthwise"
            )
        made = Cohort(roles, layers, seed=0)
        if not made.has(STUDENT):
            continue
        _require_signals(phase, made, layers)
        student = sum(p.numel() for p in made.network(STUDENT).parameters())
        for role in roles:
            own = sum(p.numel() for p in made.network(role.name).parameters())
            if isinstance(role, Exit) and own > student:
                raise ConfigError(
                    f"--scheme: {role.name} has {own} parameters, the student {student}; an exit "
                    "that is larger teaches nothing about it: give fewer exits or a larger student"
                )


def _require_signals(phase: Phase, cohort: Cohort, layers: Layers) -> None:
    inputs = torch.zeros(2, *layers.input_shape)
    with torch.no_grad():
        shown = cohort.signals(inputs, inputs)
    for edge in phase.edges:
        for signal in (*edge.predictions, *edge.reads):
            if cohort.has(signal.split(".")[0]) and signal not in shown:
                raise ConfigError(
                    f"--scheme: {edge.name} needs {signal}, which this student does not show; it "
                    f"shows {', '.join(sorted(shown))}"
                )


def _best(cohort: Cohort, names: Sequence[str], data: SchemeData) -> StudentModule:
    """Return the exported role with the least error on validation, the first of equals."""
    head, labels = data.training.head, data.held_labels.cpu().numpy()
    inputs = data.held_inputs.cpu()
    students = [cohort.exported(name) for name in names]

    def error(student: StudentModule) -> float:
        return float(head.errors(predict_logits(student, inputs).numpy(), labels).mean())

    return students[0] if len(students) == 1 else min(students, key=error)
