"""A trained student is exported, quantised and scored; then it may learn from validation, too."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from hwkd.core.final_record import LifelongRecord, PairRecord, QuantisationChoiceRecord
from hwkd.core.metric import Scores, ScoresRecord
from hwkd.core.progress import Progress, silent
from hwkd.core.student import Layers
from hwkd.core.teaching import TeacherSource
from hwkd.core.trial import EpochRecord
from hwkd.deploy.to_onnx import export_onnx
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.int8_methods import int8_recipe
from hwkd.engine.arms.all_examples import learn_all, may_learn_all
from hwkd.engine.arms.attacked import attacked_scores, parse_attack
from hwkd.engine.arms.evaluation import (
    judge_student,
    require_same_outputs,
    save_student,
    student_criterion,
    student_logits,
)
from hwkd.engine.arms.example_pictures import worst_pictures
from hwkd.engine.arms.example_texts import worst_texts
from hwkd.engine.arms.exits import write_exits
from hwkd.engine.arms.orders import ArmOrder, ArmResult, student_files, write_result
from hwkd.engine.arms.quantise import QuantisationData, QuantisationSettings, quantise_student
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.scoring_pace import ScoringPace
from hwkd.engine.arms.varied import varied_error
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.screening import Candidate
from hwkd.io.student_folder import StudentFiles
from hwkd.nn.build import StudentModule
from hwkd.nn.fake_quant import FakeQuantStudent
from hwkd.tasks.base import SplitName, TaskData
from hwkd.train.checkpoint import Checkpoints
from hwkd.train.loop import Criterion, TrainConfig

_LEAST_FURTHER_S = 1.0
_COMPARED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatStudent:
    """A student in float that is to be quantised and scored.

    Attributes:
        module: on the processor, in evaluation mode.
        epochs_made: passes, with the fraction of the last one.
        state: of adapters and memories, for a training that goes on.
        pairs: layers that feature methods compared.
        exits: the network with its exits; None without any.
        lifelong: what is left of tasks in turn; None without tasks.
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
    exits: tuple[Layers, StudentModule] | None = None
    lifelong: LifelongRecord | None = None
    label_smoothing: float = 0.0

    @property
    def samples_seen(self) -> float:
        """Samples that it saw, repetitions included."""
        return self.epochs_made * self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What follows a training while it runs.

    Attributes:
        check: called before every step; raises to stop.
        checkpoints: where a training goes on if it was killed; None keeps none.
    """

    progress: Progress = silent
    check: Callable[[], None] = lambda: None
    checkpoints: Checkpoints | None = None


def finish_arm(
    order: ArmOrder,
    context: SearchContext,
    student: FloatStudent,
    folder: Path,
    *,
    pace: ScoringPace | None = None,
    watch: Watch | None = None,
) -> ArmResult:
    """Export, quantise and score a trained student; its result comes last.

    Args:
        folder: of the order; gets the files (see `student_files`) and the result.
        pace: of scoring; None where the order has no end.
        watch: of a training with simulated rounding, and of further learning.
    """
    files, watch = StudentFiles(folder), watch or Watch()
    quantisation = _deployed(order, context, student, files, watch, pace=pace)
    judged = _judged(context, student, files).model_copy(update={"quantisation": quantisation})
    if pace is not None or order.end_s is None:  # where time is short it must have been counted on
        varied = varied_error(context, files.int8_path)
        judged = judged.model_copy(update={"varied_error": varied})
    judged = judged.model_copy(update={"lifelong": student.lifelong})
    if student.exits is not None:
        found = write_exits(
            context, student.exits, files.exits_path, calibration=quantisation.calibration
        )
        judged = judged.model_copy(update={"exits": found})
    result, history = _tested(context, judged, files, student.module), student.epochs
    if order.learns_all and quantisation.ships == "ptq" and may_learn_all(context, student.arm):
        if pace is not None:  # should time end what follows, this is what came of the training
            write_result(folder, result, history)
        further = _gone_on(order, context, student, folder, result, pace=pace, watch=watch)
        result, history = further or (result, history)
    write_result(folder, result, history)
    return result


def _deployed(
    order: ArmOrder,
    context: SearchContext,
    student: FloatStudent,
    files: StudentFiles,
    watch: Watch,
    *,
    as_before: QuantisationChoiceRecord | None = None,
    pace: ScoringPace | None = None,
) -> QuantisationChoiceRecord:
    """Write a student's files; `as_before` says how, where that has been chosen."""
    export_onnx(student.module, student.candidate.layers, files.float_path)
    few = context.data.validation.inputs[:_COMPARED]
    require_same_outputs(student.module, files.float_path, few)
    quantisation = _quantised(order, context, student, files, watch, as_before=as_before, pace=pace)
    save_student(student.module, files.weights_path)
    return quantisation


def _judged(context: SearchContext, student: FloatStudent, files: StudentFiles) -> ArmResult:
    """Return what the files of a student are worth on validation."""
    validation, latency = context.data.validation, student.candidate.cost.latency
    logits = student_logits(files.int8_path, validation.inputs)
    return ArmResult(
        seed=student.config.seed,
        epochs=max(1, round(student.epochs_made)),
        scores=ScoresRecord(
            validation_float=_scores(context.data, files.float_path, "validation"),
            validation_int8=context.data.scores("validation", logits),
        ),
        objective=judge_student(
            context, logits, latency_s=None if latency is None else latency.value_s
        ),
        samples_seen=round(student.samples_seen),
        decision=context.data.head.decide(logits, validation.labels, validation.wholes),
        pairs=student.pairs,
    )


def _tested(
    context: SearchContext, result: ArmResult, files: StudentFiles, module: StudentModule
) -> ArmResult:
    """Add what the files are worth on the test split."""
    head, test = context.data.head.at(result.decision), context.data.test
    logits = student_logits(files.int8_path, test.inputs)
    confusion = head.confusion(logits, test.labels)
    tested = {
        name: head.scores(outputs, test.labels, test.wholes)
        for name, outputs in (
            ("test_float", student_logits(files.float_path, test.inputs)),
            ("test_int8", logits),
        )
    }
    if context.config.robustness is not None:
        attack = parse_attack(context.config.robustness)
        inputs, tested["attacked_float"] = attacked_scores(attack, module, context.data)
        outputs = student_logits(files.int8_path, inputs)
        tested["attacked_int8"] = head.scores(outputs, test.labels, test.wholes)
    return result.model_copy(
        update={
            "scores": result.scores.model_copy(update=tested),
            "confusion": confusion,
            "by_class": () if confusion else head.by_class(logits, test.labels),
            "decision": result.decision
            and result.decision.model_copy(
                update={"on_test": head.falsely(logits, test.labels, test.wholes)}
            ),
            "worst_texts": worst_texts(context.data, logits),
            "worst_pictures": worst_pictures(context.data, head, logits),
        }
    )


def _gone_on(
    order: ArmOrder,
    context: SearchContext,
    student: FloatStudent,
    folder: Path,
    result: ArmResult,
    *,
    pace: ScoringPace | None,
    watch: Watch,
) -> tuple[ArmResult, tuple[EpochRecord, ...]] | None:
    """Go on with all examples; None where there is no time, or that is no good.

    What it is worth on validation is known from before: those scores stay. Answering examples that
    it has learned from can only tell whether the training went wrong.
    """
    left_s = None
    if order.end_s is not None and pace is not None:
        left_s = order.end_s - time.monotonic() - pace.after_going_on_s
        if left_s < _LEAST_FURTHER_S:
            return None
    module, training, examples = learn_all(
        student.module,
        context,
        student.config,
        samples_seen=student.samples_seen,
        label_smoothing=student.label_smoothing,
        budget_s=left_s,
        check=watch.check,
    )
    found = result.model_copy(
        update={
            "epochs": max(1, round(student.epochs_made + training.epochs_made)),
            "all_examples": examples,
            "epochs_judged": result.epochs,
        }
    )
    further, files = replace(student, module=module), student_files(folder, found)
    files.folder.mkdir(exist_ok=True)
    _deployed(order, context, further, files, Watch(), as_before=result.quantisation)
    before, after = result.objective, _judged(context, further, files).objective
    if before is None or after is None or after.task_error > before.task_error:
        shutil.rmtree(files.folder)
        return None
    made_before = len(student.epochs)
    records = (r.model_copy(update={"epoch": r.epoch + made_before}) for r in training.epochs)
    return _tested(context, found, files, module), (*student.epochs, *records)


def _quantised(
    order: ArmOrder,
    context: SearchContext,
    student: FloatStudent,
    files: StudentFiles,
    watch: Watch,
    *,
    as_before: QuantisationChoiceRecord | None,
    pace: ScoringPace | None,
) -> QuantisationChoiceRecord:
    """Write the int8 file; a training with simulated rounding goes on with data and methods."""
    # Apple's GPUs have no float64, which simulated rounding needs for biases.
    is_mps = context.accelerator.type == "mps"
    here = context.on(torch.device("cpu")) if is_mps else context
    validation, chosen = context.data.validation, context.config.quantisation
    rest_s = 0.0 if pace is None else pace.after_rounding_s  # of scoring what was chosen
    settings = QuantisationSettings(
        calibration=chosen.calibration if as_before is None else as_before.calibration,
        qat=chosen.qat if as_before is None else "off",
        full_epochs=student.config.epochs,
        batch_size=student.config.batch_size,
        seed=student.config.seed,
        end_s=None if order.end_s is None else order.end_s - rest_s,
    )

    def tell(stage: str, record: EpochRecord) -> None:
        watch.progress(stage, record.epoch, settings.training().epochs, shown_terms(record))

    return quantise_student(
        files.float_path,
        files.int8_path,
        student.candidate.layers,
        QuantisationData(
            calibration=context.calibration,
            batches=here.learned_from(student.arm.methods).batches,
            criterion=partial(_goes_on, student, here),
            validation_inputs=validation.inputs,
            validation_labels=validation.labels,
            validation_wholes=validation.wholes,
            head=context.data.head,
        ),
        settings,
        on_epoch=tell,
        check=watch.check,
        checkpoints=watch.checkpoints,
    )


def _goes_on(
    student: FloatStudent,
    context: SearchContext,
    rounding: FakeQuantStudent,
    own: TeacherSource | None,
) -> Criterion:
    """Return what the float training minimised, for the student with simulated rounding."""
    recipe = int8_recipe(student.arm.methods, context.data.head.kind)
    made = student_criterion(
        context,
        rounding,
        student.candidate.layers,
        recipe.methods,
        student.config,
        source=own if recipe.follows_itself else None,
    )
    if isinstance(made, DistillCriterion):
        known = made.state_dict()
        made.load_state_dict({name: student.state.get(name, t) for name, t in known.items()})
    return made


def shown_terms(record: EpochRecord) -> str:
    """Return the terms of an epoch in one line."""
    return " ".join(f"{name} {value:.3f}" for name, value in record.losses.items())


def _scores(data: TaskData, onnx_path: Path, name: SplitName) -> Scores:
    """Return every metric of the task, of a file over a split."""
    split = data.split(name)
    return data.scores(name, student_logits(onnx_path, split.inputs))
