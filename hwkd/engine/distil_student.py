"""Trains one student in full with any distillation methods, beside its controls when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from hwkd.core.progress import Progress, silent
from hwkd.core.student import Layers
from hwkd.core.trial import EpochRecord
from hwkd.distill.attribution import Attribution, Gain, attribute, paired_gain
from hwkd.distill.criterion import DistillCriterion, TrainingSet
from hwkd.distill.losses.teacher_free import LabelSmoothing
from hwkd.distill.pairing import LayerPair
from hwkd.distill.spec import WeightedMethod
from hwkd.distill.taps import student_places
from hwkd.engine.distil_data import TransferSet, teacher_source
from hwkd.nn.build import StudentModule, build_module
from hwkd.train.loop import TrainConfig, predict_logits, train_module
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher import Teacher, accuracy_ratio

__all__ = ["Arm", "ArmResult", "DistilOutcome", "DistilSettings", "control_arms", "distil_student"]

DISTILLED = "distilled"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilSettings:
    """How a student is trained.

    Attributes:
        epochs: passes over the training set.
        batch_size: samples per step.
        learning_rate: peak of the schedule.
        task_weight: of cross-entropy, unless a method includes its own.
        seeds: trainings of every arm; the first one of the arm that wins ships.
        with_controls: train cross-entropy, label smoothing and the transforms without a teacher
        too.
        importance: per student stage, multiplies the feature terms; None is 1.
        stages: module paths of the teacher that are its stages; none finds them.
        device: where networks are trained.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.02
    task_weight: float = 1.0
    seeds: tuple[int, ...] = (0,)
    with_controls: bool = False
    importance: tuple[float, ...] | None = None
    stages: tuple[str, ...] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of training the student; no method is cross-entropy alone."""

    name: str
    methods: tuple[WeightedMethod, ...] = ()

    @property
    def is_control(self) -> bool:
        """Whether no teacher takes part."""
        return not any(entry.method.uses_teacher for entry in self.methods)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """An arm over its seeds.

    Attributes:
        arm: what was trained.
        validation: accuracy per seed, 0 to 1; students are chosen by it.
        test: accuracy per seed, 0 to 1; nothing is chosen by it.
        epochs: of the first seed.
        pairs: layer pairs per method.
        student: of the first seed.
    """

    arm: Arm
    validation: tuple[float, ...]
    test: tuple[float, ...]
    epochs: tuple[EpochRecord, ...]
    pairs: Mapping[str, tuple[LayerPair, ...]]
    student: StudentModule


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilOutcome:
    """What came of it.

    Attributes:
        arms: the distilled one first.
        attribution: on validation accuracy; None without controls.
        test_gain: over the best control on test accuracy; None without controls.
        exported: the arm whose student ships.
    """

    arms: tuple[ArmResult, ...]
    attribution: Attribution | None
    test_gain: Gain | None
    exported: ArmResult


def control_arms(methods: Sequence[WeightedMethod]) -> tuple[Arm, ...]:
    """Return what a gain must be measured against.

    Cross-entropy, label smoothing, and every logit method's transform applied to the labels alone.
    """
    arms = [
        Arm(name="cross-entropy"),
        Arm(
            name="label smoothing",
            methods=(WeightedMethod(method=LabelSmoothing(), weight=1.0),),
        ),
    ]
    for entry in methods:
        control = entry.method.no_teacher_control()
        if control is not None:
            weighted = replace(entry, method=control)
            arms.append(Arm(name=f"{control.name}, no teacher", methods=(weighted,)))
    return tuple(arms)


def distil_student(
    layers: Layers,
    transfer: TransferSet,
    teacher: Teacher | None,
    methods: Sequence[WeightedMethod],
    settings: DistilSettings,
    *,
    progress: Progress = silent,
) -> DistilOutcome:
    """Train a student with the methods, and its controls if the settings ask for them.

    Args:
        layers: the student's description.
        transfer: what it trains on.
        teacher: None for teacher-free methods.
        methods: to combine; none is plain cross-entropy.
        settings: lengths and seeds.
        progress: told about every epoch.

    Raises:
        ConfigError: if a method cannot run here; before any training.
    """
    arms = [Arm(name=DISTILLED, methods=tuple(methods))]
    if settings.with_controls:
        arms += control_arms(methods)
    everything = _Loaded.of(transfer, settings.device)
    labelled = transfer.labelled_only()
    # Controls cannot learn from unlabelled samples.
    some = everything if labelled is transfer else _Loaded.of(labelled, settings.device)
    runs = [
        _ArmRun(layers, some if arm.is_control else everything, teacher, arm, settings, progress)
        for arm in arms
    ]
    # Every arm is checked before the first is trained.
    for run in runs:
        run.prepare(samples=len(everything.labels))
    results = tuple(run.train() for run in runs)
    distilled, controls = results[0], results[1:]
    if not controls:
        return DistilOutcome(arms=results, attribution=None, test_gain=None, exported=distilled)
    found = attribute(DISTILLED, distilled.validation, {c.arm.name: c.validation for c in controls})
    by_name = {result.arm.name: result for result in results}
    return DistilOutcome(
        arms=results,
        attribution=found,
        test_gain=paired_gain(distilled.test, by_name[found.best_control].test),
        exported=by_name[found.exported],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """A transfer set on the training device, shared by the arms that train on it."""

    transfer: TransferSet
    views: list[torch.Tensor]
    labels: torch.Tensor

    @classmethod
    def of(cls, transfer: TransferSet, device: torch.device) -> _Loaded:
        labels = torch.from_numpy(np.array(transfer.train.labels)).to(device)
        return cls(transfer=transfer, views=transfer.views(device), labels=labels)


class _ArmRun:
    """One arm: its data, its teacher source and its trainings."""

    def __init__(
        self,
        layers: Layers,
        loaded: _Loaded,
        teacher: Teacher | None,
        arm: Arm,
        settings: DistilSettings,
        progress: Progress,
    ) -> None:
        self._layers = layers
        self._loaded = loaded
        self._transfer = loaded.transfer
        self._teacher = teacher
        self._arm = arm
        self._settings = settings
        self._progress = progress
        self._epochs = settings.epochs

    def prepare(self, *, samples: int) -> None:
        """Find the teacher's side and refuse what cannot work.

        Args:
            samples: of the distilled arm; an arm with fewer makes more passes, for as many steps.
        """
        steps = self._settings.epochs * self._steps_per_epoch(samples)
        self._epochs = round(steps / self._steps_per_epoch(len(self._loaded.labels)))
        device = self._settings.device
        self._source = teacher_source(
            self._teacher,
            self._transfer,
            self._arm.methods,
            device=device,
            stages=self._settings.stages,
            progress=self._progress,
        )
        self._criterion(build_module(self._layers, seed=0).to(device), seed=0)

    def train(self) -> ArmResult:
        """Train one student per seed."""
        validation: list[float] = []
        test: list[float] = []
        for number, seed in enumerate(self._settings.seeds):
            module = build_module(self._layers, seed=derive_seed(seed, "distil", "weights"))
            module = module.to(self._settings.device)
            criterion = self._criterion(module, seed=derive_seed(seed, "distil", "method"))
            result = train_module(
                module,
                self._loaded.views,
                self._loaded.labels,
                criterion,
                TrainConfig(
                    epochs=self._epochs,
                    batch_size=self._settings.batch_size,
                    learning_rate=self._settings.learning_rate,
                    seed=derive_seed(seed, "distil", "order"),
                ),
                on_epoch=partial(self._tell, number),
            )
            validation.append(self._accuracy(module, "validation"))
            test.append(self._accuracy(module, "test"))
            if number == 0:
                first, epochs, pairs = module, result.epochs, criterion.pairs
        return ArmResult(
            arm=self._arm,
            validation=tuple(validation),
            test=tuple(test),
            epochs=epochs,
            pairs=pairs,
            student=first.cpu(),
        )

    def _steps_per_epoch(self, samples: int) -> int:
        return max(1, samples // self._settings.batch_size)

    def _criterion(self, module: StudentModule, *, seed: int) -> DistillCriterion:
        return DistillCriterion(
            self._arm.methods,
            student=module,
            student_places=student_places(self._layers),
            source=self._source,
            data=TrainingSet(
                views=self._loaded.views,
                labels=self._loaded.labels,
                classes=self._transfer.num_outputs,
                batch_size=min(self._settings.batch_size, len(self._loaded.labels)),
                seed=seed,
            ),
            task_weight=self._settings.task_weight,
            importance=self._settings.importance,
        )

    def _tell(self, number: int, record: EpochRecord) -> None:
        terms = " ".join(f"{name} {value:.3f}" for name, value in record.losses.items())
        seeds = len(self._settings.seeds)
        which = f" (seed {number + 1} of {seeds})" if seeds > 1 else ""
        self._progress(f"{self._arm.name}{which}", record.epoch, self._epochs, terms)

    def _accuracy(self, module: StudentModule, name: str) -> float:
        split = self._transfer.data.test if name == "test" else self._transfer.data.validation
        inputs = torch.from_numpy(np.array(split.inputs)).to(self._settings.device)
        return accuracy_ratio(predict_logits(module, inputs).cpu().numpy(), split.labels)
