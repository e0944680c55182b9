"""One way of training a student, over its seeds: distilled, or one of the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwkd.core.choices import CalibrationChoice
from hwkd.core.progress import Progress
from hwkd.core.student import Layers
from hwkd.core.trial import EpochRecord
from hwkd.distill.criterion import DistillCriterion, TrainingSet
from hwkd.distill.pairing import LayerPair
from hwkd.distill.sources import TeacherSource
from hwkd.distill.spec import WeightedMethod
from hwkd.distill.taps import student_places
from hwkd.engine.arms.recipes import Arm
from hwkd.engine.arms.score import Scores, score_student
from hwkd.engine.setup.calibration import calibration_inputs
from hwkd.engine.setup.transfer import TransferSet, teacher_source
from hwkd.nn.build import StudentModule, build_module
from hwkd.train.batches import TensorBatches
from hwkd.train.loop import TrainConfig, train_module
from hwkd.train.seeding import derive_seed
from hwkd.train.teacher import Teacher
from hwkd.train.teacher_module import ModuleTeacher

__all__ = ["ArmResult", "ArmRun", "DistilSettings", "LoadedSet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilSettings:
    """How a student is trained.

    Attributes:
        epochs: passes over the training set.
        batch_size: samples per step.
        learning_rate: peak of the schedule.
        task_weight: of cross-entropy, unless a method includes its own.
        seeds: trainings of every arm; the first one of the arm that wins ships.
        calibration: how the ranges of the int8 files are found by which arms are judged; "auto" is
            the default way.
        calibration_seed: of the samples that set them.
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
    calibration: CalibrationChoice = "auto"
    calibration_seed: int = 0
    with_controls: bool = False
    importance: tuple[float, ...] | None = None
    stages: tuple[str, ...] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """An arm over its seeds.

    Attributes:
        arm: what was trained.
        scores: one a seed.
        epochs: of the first seed.
        pairs: layer pairs per method.
        student: of the first seed.
        run: what it was trained by, to go on from there.
        state: of the first seed's adapters and memories.
    """

    arm: Arm
    scores: tuple[Scores, ...]
    epochs: tuple[EpochRecord, ...]
    pairs: Mapping[str, tuple[LayerPair, ...]]
    student: StudentModule
    run: ArmRun
    state: Mapping[str, Tensor]

    @property
    def validation(self) -> tuple[float, ...]:
        """Accuracy of the int8 file per seed, 0 to 1; students are chosen by it."""
        return tuple(scores.validation for scores in self.scores)

    @property
    def test(self) -> tuple[float, ...]:
        """Accuracy of the int8 file per seed, 0 to 1; nothing is chosen by it."""
        return tuple(scores.test for scores in self.scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSet:
    """A transfer set on the training device, shared by the arms that train on it."""

    transfer: TransferSet
    batches: TensorBatches

    @classmethod
    def of(cls, transfer: TransferSet, device: torch.device) -> LoadedSet:
        """Copy inputs and labels there."""
        labels = torch.from_numpy(np.array(transfer.train.labels)).to(device)
        return cls(transfer=transfer, batches=TensorBatches(transfer.copies(device), labels))


class ArmRun:
    """One arm: its data, its teacher source and its trainings."""

    def __init__(
        self,
        layers: Layers,
        loaded: LoadedSet,
        teacher: Teacher | None,
        arm: Arm,
        settings: DistilSettings,
        progress: Progress,
    ) -> None:
        """Nothing is looked at yet; see `prepare`."""
        self._layers = layers
        self.loaded = loaded
        self._transfer = loaded.transfer
        self._teacher = teacher
        self.arm = arm
        self._settings = settings
        self._progress = progress
        self._epochs = settings.epochs

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of its trainings."""
        return self._settings.seeds

    def prepare(self, *, samples: int) -> None:
        """Find the teacher's side and refuse what cannot work.

        Args:
            samples: of the distilled arm; an arm with fewer makes more passes, for as many steps.
        """
        steps = self._settings.epochs * self._steps_per_epoch(samples)
        self._epochs = round(steps / self._steps_per_epoch(len(self.loaded.batches.labels)))
        device = self._settings.device
        self.source = teacher_source(
            self._teacher,
            self._transfer,
            self.arm.methods,
            device=device,
            stages=self._settings.stages,
            progress=self._progress,
        )
        self._criterion(build_module(self._layers, seed=0).to(device), seed=0)

    def train(self) -> ArmResult:
        """Train one student per seed."""
        scores: list[Scores] = []
        calibration = calibration_inputs(self._transfer.data, self._settings.calibration_seed)
        for number, seed in enumerate(self._settings.seeds):
            module = build_module(self._layers, seed=derive_seed(seed, "distil", "weights"))
            module = module.to(self._settings.device)
            criterion = self._criterion(module, seed=derive_seed(seed, "distil", "method"))
            result = train_module(
                module,
                self.loaded.batches,
                criterion,
                TrainConfig(
                    epochs=self._epochs,
                    batch_size=self._settings.batch_size,
                    learning_rate=self._settings.learning_rate,
                    seed=derive_seed(seed, "distil", "order"),
                ),
                on_epoch=partial(self._tell, number),
            )
            module = module.cpu()
            scores.append(self._scores(module, calibration))
            if number == 0:
                first, epochs, pairs = module, result.epochs, criterion.pairs
                state = {name: tensor.cpu() for name, tensor in criterion.state_dict().items()}
        return ArmResult(
            arm=self.arm,
            scores=tuple(scores),
            epochs=epochs,
            pairs=pairs,
            student=first,
            run=self,
            state=state,
        )

    def criterion(
        self,
        module: nn.Module,
        *,
        seed: int,
        methods: Sequence[WeightedMethod],
        source: TeacherSource | None,
        state: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> DistillCriterion:
        """Return what a student of this arm minimises.

        Args:
            module: with the taps of a student.
            seed: of what the methods draw.
            methods: the arm's, or what goes on of them.
            source: of the teacher's side.
            state: of adapters and memories to go on with, of these methods and maybe others.
        """
        made = DistillCriterion(
            methods,
            student=module,
            student_places=student_places(self._layers),
            source=source,
            data=TrainingSet(
                copies=self.loaded.batches.copies,
                labels=self.loaded.batches.labels,
                head=self._transfer.head,
                batch_size=min(self._settings.batch_size, len(self.loaded.batches.labels)),
                seed=seed,
            ),
            task_weight=self._settings.task_weight,
            importance=self._settings.importance,
        )
        made.load_state_dict({name: state.get(name, t) for name, t in made.state_dict().items()})
        return made

    def on(self, device: torch.device) -> ArmRun:
        """Return the arm with its data and teacher on another device, ready to train there."""
        teacher = self._teacher
        if isinstance(teacher, ModuleTeacher):
            teacher = replace(teacher, module=teacher.module.to(device), device=device)
        settings = replace(self._settings, device=device)
        loaded = LoadedSet.of(self._transfer, device)
        moved = ArmRun(self._layers, loaded, teacher, self.arm, settings, self._progress)
        moved.prepare(samples=len(loaded.batches.labels))
        return moved

    def _steps_per_epoch(self, samples: int) -> int:
        return max(1, samples // self._settings.batch_size)

    def _criterion(self, module: nn.Module, *, seed: int) -> DistillCriterion:
        return self.criterion(module, seed=seed, methods=self.arm.methods, source=self.source)

    def _tell(self, number: int, record: EpochRecord) -> None:
        terms = " ".join(f"{name} {value:.3f}" for name, value in record.losses.items())
        seeds = len(self._settings.seeds)
        which = f" (seed {number + 1} of {seeds})" if seeds > 1 else ""
        self._progress(f"{self.arm.name}{which}", record.epoch, self._epochs, terms)

    def _scores(self, module: StudentModule, calibration: NDArray[np.float32]) -> Scores:
        return score_student(
            module,
            self._layers,
            self._transfer.data,
            calibration=calibration,
            ranges=self._settings.calibration,
        )
