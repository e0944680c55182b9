"""One training of a student that may ship: trained, quantised, scored.

It is the same for a search, its controls and `hwkd distill`, in a process of its own or in this
one. With an end it plans its time: what scoring takes is measured before the training starts.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from hwkd.core.errors import HwkdError, InterruptedTrial, RunFolderError
from hwkd.core.final_record import PairRecord
from hwkd.core.progress import Progress, silent
from hwkd.core.strict_model import read_record
from hwkd.core.trial import EpochRecord, TrialRecord
from hwkd.distill.adapters import describe_adapter
from hwkd.distill.criterion import DistillCriterion
from hwkd.engine.arms.all_examples import FURTHER_RATE_RATIO, may_learn_all, samples_ratio
from hwkd.engine.arms.checkpoints import arm_checkpoints, to_log
from hwkd.engine.arms.evaluation import Trained, train_student
from hwkd.engine.arms.finish_arm import FloatStudent, Watch, finish_arm, shown_terms
from hwkd.engine.arms.jobs import write_progress
from hwkd.engine.arms.orders import (
    ORDER_FILE,
    ArmOrder,
    ArmResult,
    order_candidate,
    write_order,
)
from hwkd.engine.arms.recipes import Arm, arm_named
from hwkd.engine.arms.scoring_pace import ScoringPace, measure_scoring
from hwkd.engine.run.loaded_context import load_context
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.screening import Candidate
from hwkd.engine.setup.trainings import Training, brief_training, full_training
from hwkd.io.machine import threads_per_worker
from hwkd.nn.build import build_module
from hwkd.train.loop import Criterion
from hwkd.train.weights_file import WeightsError, fill_module

# Of the time before its end, a training leaves at least half for itself; and so much, if what
# must follow leaves it: further forms of the int8 file are worth less than time to learn.
_LEAST_TRAINING_SHARE, _WORTHY_TRAINING_SHARE = 0.5, 0.75
# Kept for another training, with simulated rounding, where int8 cost the candidate accuracy.
_ROUNDING_SHARE = 0.15


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
        folder: of the order; the files of the student and, last of all, the result go there.
        check: called before every step; raises to stop.
        say: told in one line when a checkpoint cannot be used or written.

    Raises:
        ZeroGradientError: if a term has no gradient at the student in its first steps.
    """
    candidate = order_candidate(order, context)
    arm = arm_named(order.arm, context.methods, context.data.head.kind, context.scheme)
    pace = None if order.end_s is None else measure_scoring(context, candidate)
    training = full_training(
        context,
        candidate.layers,
        repetition=order.repetition,
        epochs=order.epochs,
        methods=arm.methods,
        budget_s=_training_budget_s(order, context, arm, pace),
    )
    if order.goes_on:
        training = training.at_rate_ratio(FURTHER_RATE_RATIO)
    if context.config.training.rate_ratio is None:
        training = training.at_rate_ratio(arm.rate_ratio)
    begun, config = time.monotonic(), training.config
    # Of all phases of a scheme; methods have one.
    total = round(config.epochs * sum(phase.share for phase in arm.phases())) or config.epochs

    def tell(record: EpochRecord) -> None:
        ratio = record.epoch / total
        if config.time_budget_s:  # 0 where it was used up before the first step
            ratio = max(ratio, (time.monotonic() - begun) / config.time_budget_s)
        write_progress(folder, ratio)
        name = f"{order.arm} (seed {order.repetition})"
        progress(name, record.epoch, total, shown_terms(record))

    checkpoints = arm_checkpoints(folder, context, training, arm, key=candidate.layers.key, say=say)
    trained = train_student(
        candidate.layers, context, training,
        arm=arm, on_epoch=tell, check=check, checkpoints=checkpoints,
        start_from=None if order.start_from is None else Path(order.start_from),
    )  # fmt: skip
    student = _in_float(candidate, arm, training, trained, context)
    watch = Watch(progress=progress, check=check, checkpoints=checkpoints)
    result = finish_arm(order, context, student, folder, pace=pace, watch=watch)
    checkpoints.remove()
    return result


def _in_float(
    candidate: Candidate, arm: Arm, training: Training, trained: Trained, context: SearchContext
) -> FloatStudent:
    criterion, samples = trained.criterion, len(context.learned_from(arm.methods))
    return FloatStudent(
        candidate=candidate,
        arm=arm,
        module=trained.module.cpu(),
        config=training.config,
        epochs=trained.result.epochs,
        epochs_made=trained.result.epochs_made,
        samples=min(samples, training.config.samples_per_epoch or samples),
        state=criterion.state_dict() if isinstance(criterion, DistillCriterion) else {},
        pairs=_pairs(arm, criterion),
        exits=trained.exits,
        lifelong=trained.lifelong,
        label_smoothing=training.recipe.label_smoothing if arm.smooths_labels else 0.0,
    )


def score_brief_weights(
    store: RunFolder, best: TrialRecord, context: SearchContext, order: ArmOrder
) -> ArmResult:
    """Deploy the weights of a candidate as they are: they ship where no full training was better.

    Args:
        order: names the folder; nothing is trained.
    """
    folder, context = write_order(store.path, order), context.of(order.spec)
    candidate = order_candidate(order, context)
    module = build_module(candidate.layers, seed=0)
    weights = store.weights_of(best)
    try:
        fill_module(module, weights)
    except WeightsError as error:
        raise RunFolderError(f"{weights}: the student's weights: {error}") from error
    fidelity = best.fidelity or context.fidelity
    student = FloatStudent(
        candidate=candidate,
        arm=arm_named(order.arm, context.methods, context.data.head.kind, context.scheme),
        module=module.eval(),
        config=brief_training(context, candidate.layers, fidelity=fidelity).config,
        epochs=best.epochs,
        epochs_made=float(len(best.epochs)) if best.epochs_made is None else best.epochs_made,
        samples=context.epoch_samples(fidelity),
        state={},
    )
    return finish_arm(order, context, student, folder)


def main(run_folder: Path, folder: Path, parent_pid: int) -> int:
    """Train the order in `folder`; returns the exit code."""

    def check() -> None:
        if os.getppid() != parent_pid:
            raise InterruptedTrial

    torch.set_num_threads(threads_per_worker(1))  # the parent has set this training's share
    try:
        path = folder / ORDER_FILE
        order = read_record(ArmOrder, path.read_bytes(), where=str(path), what="training order")
        context = load_context(RunFolder(run_folder)).of(order.spec)
        train_arm(order, context, folder, check=check)
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
    order: ArmOrder, context: SearchContext, arm: Arm, pace: ScoringPace | None
) -> float | None:
    """Return how long to train so that all that follows ends in time; None is no bound."""
    if order.end_s is None or pace is None:
        return None
    left_s = order.end_s - time.monotonic()
    if order.loses_in_int8:
        left_s *= 1.0 - _ROUNDING_SHARE
    goes_on = order.learns_all and may_learn_all(context, arm)
    return training_share_s(left_s, pace, further_ratio=samples_ratio(context) if goes_on else 0.0)


def training_share_s(left_s: float, pace: ScoringPace, *, further_ratio: float) -> float:
    """Return what a training gets of the time until its end.

    Args:
        further_ratio: of its samples, what is learned after it was scored. Where what follows takes
            over a quarter of the time, that and further forms of the int8 file have what is left.
    """
    whole_s, worthy_s = left_s - pace.after_training_s, _WORTHY_TRAINING_SHARE * left_s
    if whole_s >= worthy_s:
        return whole_s / (1.0 + further_ratio)
    return max(_LEAST_TRAINING_SHARE * left_s, min(worthy_s, left_s - pace.least_after_training_s))


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
