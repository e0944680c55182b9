"""What every trial of a search shares: the data, the teacher's logits, the settings.

Each process builds its own context from the run folder; the expensive parts (decoded data, the
teacher, its logits) were prepared once and are read from the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwkd.core.errors import RunFolderError
from hwkd.core.run_record import SettingRecord
from hwkd.core.signals import Signal
from hwkd.core.student import Layers, StudentSpec
from hwkd.core.teaching import TeacherSource
from hwkd.core.trial import FidelityRecord
from hwkd.distill.scheme import Scheme
from hwkd.distill.scheme_spec import parse_scheme
from hwkd.distill.spec import WeightedMethod, is_taught
from hwkd.engine.setup.calibration import calibration_inputs
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.hardware import accelerator_device
from hwkd.engine.setup.importance import stage_importance
from hwkd.engine.setup.loaded_set import LoadedSet, teacher_source
from hwkd.engine.setup.methods import configured_methods, default_methods, without_teacher
from hwkd.engine.setup.pairs import parse_pairs
from hwkd.engine.setup.references import ReferenceStudent, reference_students
from hwkd.engine.setup.resolve import load_data, screen_of
from hwkd.engine.setup.rooms import KeptRooms, fit_spaces
from hwkd.engine.setup.screening import Screen
from hwkd.engine.setup.transfer import TransferSet, configured_transfer
from hwkd.tasks.base import Task, TaskData
from hwkd.train.logit_cache import cached_logits, logits_of_copies
from hwkd.train.symmetry import Symmetry, symmetry_of
from hwkd.train.teacher import Teacher, members_of
from hwkd.train.teacher_matched import MatchedTeacher
from hwkd.train.teacher_module import ModuleTeacher

_T = TypeVar("_T", int, float)

_OF_LOGITS = frozenset({Signal.LOGITS})


@dataclass(frozen=True, kw_only=True)
class SearchContext:
    """Everything that a trial reads; nothing in here changes during a search.

    Attributes:
        config: with every open choice resolved.
        given: device, limits and spaces as they were asked for.
        data: all splits; trials look at train and validation only.
        labelled: the part of it that has labels; the same object where all has.
        teacher: its outputs are in the cache; None without one.
        teacher_validation_logits: shape [samples, classes]; None without a teacher.
        teacher_error: on validation, 0 is best (`Head.errors`); None without a teacher.
        methods: that students learn by beside the labels; none is labels alone.
        calibration: inputs that set the int8 ranges, a fixed random part of train.
        known_symmetry: `symmetry` as it was measured when the run began; None measures it where it
            is asked for.
        rooms: that were found when the search began; None finds them where they are asked for.
        settings: of the features that students choose among; none where there is one for all.
        asked: what the teacher was asked about, where `data` has other features of the same
            examples; None where it is `everything`.
    """

    config: SearchConfig
    given: Screen
    task: Task
    data: TaskData
    accelerator: torch.device
    everything: LoadedSet
    labelled: LoadedSet
    teacher: Teacher | None
    teacher_validation_logits: NDArray[np.float32] | None
    teacher_error: float | None
    methods: tuple[WeightedMethod, ...]
    calibration: NDArray[np.float32]
    known_symmetry: Symmetry | None = None
    rooms: KeptRooms | None = None
    settings: tuple[SettingRecord, ...] = ()
    asked: TransferSet | None = None

    def of(self, spec: StudentSpec) -> SearchContext:
        """Return the context with the features that a student reads, loaded when first needed.

        Raises:
            RunFolderError: if they are not what they were when the search began.
        """
        found = next((each for each in self.settings if each.features == spec.features), None)
        if found is None or found.fingerprint == self.data.fingerprint:
            return self
        if found.features not in self._loaded:
            self._loaded[found.features] = self._in_setting(found)
        return self._loaded[found.features]

    @cached_property
    def _loaded(self) -> dict[str, SearchContext]:
        return {}

    def _in_setting(self, setting: SettingRecord) -> SearchContext:
        config = self.config.in_setting(setting.features)
        _, data = load_data(config)
        if data.fingerprint != setting.fingerprint:
            raise RunFolderError(
                f"--features {setting.features}: the data changed since the run began"
            )
        everything = LoadedSet.of(configured_transfer(config, data), self.accelerator)
        return replace(
            self,
            config=config,
            given=replace(self.given, features=self.given.settings[setting.features]),
            data=data,
            everything=everything,
            labelled=everything,
            calibration=calibration_inputs(data, config.seed),
            known_symmetry=None,
            asked=self.everything.transfer,
        )

    @cached_property
    def symmetry(self) -> Symmetry:
        """What keeps an example one of its class, found on train; a second for pictures."""
        known = self.known_symmetry
        return symmetry_of(self.data.train) if known is None else known

    @cached_property
    def screen(self) -> Screen:
        """Device, limits and spaces, fitted to the limits: half a second unless rooms are known."""
        shape, outputs = self.data.input_shape, self.data.num_outputs
        return fit_spaces(self.given, input_shape=shape, num_outputs=outputs, kept=self.rooms)

    @cached_property
    def references(self) -> tuple[ReferenceStudent, ...]:
        """Textbook designs that fit the limits, the first to try first."""
        shape, outputs = self.data.input_shape, self.data.num_outputs
        return reference_students(self.screen, input_shape=shape, num_outputs=outputs)

    @cached_property
    def scheme(self) -> Scheme | None:
        """The scheme by which the student is trained in place of methods."""
        asked = self.config.scheme
        return None if asked is None else parse_scheme(asked.model_dump())

    def learned_from(self, methods: Sequence[WeightedMethod]) -> LoadedSet:
        """Return what is trained on: only a teacher can say something of unlabelled samples."""
        return self.everything if is_taught(methods) else self.labelled

    def methods_with(self, *, has_teacher: bool) -> tuple[WeightedMethod, ...]:
        """Return what students learn by: without a teacher that was left out."""
        return self.methods if has_teacher else without_teacher(self.methods)

    def source(self, methods: Sequence[WeightedMethod]) -> TeacherSource | None:
        """Return the teacher's side of a training; None where the methods need none.

        Raises:
            TeacherError: if the teacher does not show what a method needs.
            ConfigError: if a path names no module of the teacher.
        """
        return teacher_source(
            self.teacher,
            self.asked or self.everything.transfer,
            methods,
            device=self.accelerator,
            stages=[path for _, path in parse_pairs(self.config.transfer.pairs)],
        )

    def answers_of_teachers(self) -> list[list[Tensor]]:
        """Return the logits of each of the user's teachers over each copy of the labelled part.

        None of them where the scheme has none.
        """
        if self.scheme is None or not self.scheme.user_teachers or self.teacher is None:
            return []
        transfer = self.labelled.transfer
        return [
            [
                torch.from_numpy(np.array(logits, dtype=np.float32)).to(self.accelerator)
                for logits in logits_of_copies(
                    member, transfer, transfer.copy_seeds, augmentation=transfer.augmentation
                )
            ]
            for member in members_of(self.teacher)
        ]

    def importance(self, layers: Layers) -> tuple[float, ...] | None:
        """Return what weighs each stage of feature methods; None weighs them alike.

        Raises:
            ConfigError: if the device has no latency estimates to weigh them by.
        """
        if self.config.transfer.importance == "equal":
            return None
        return stage_importance(self.given, layers)

    def on(self, device: torch.device) -> SearchContext:
        """Return the context with its data and its teacher on another device."""
        if device == self.accelerator:
            return self
        teacher = self.teacher
        if isinstance(teacher, ModuleTeacher):
            teacher = teacher.on(device)
        elif isinstance(teacher, MatchedTeacher) and isinstance(teacher.network, ModuleTeacher):
            teacher = replace(teacher, network=teacher.network.on(device))
        everything = LoadedSet.of(self.everything.transfer, device)
        is_all_labelled = self.labelled is self.everything
        return replace(
            self,
            accelerator=device,
            everything=everything,
            labelled=everything
            if is_all_labelled
            else LoadedSet.of(self.labelled.transfer, device),
            teacher=teacher,
        )

    @property
    def fidelity(self) -> FidelityRecord:
        """How much training a candidate is given."""
        training = self.config.training
        return FidelityRecord(
            epochs=_resolved(training.brief_epochs), samples=training.brief_samples
        )

    def epoch_samples(self, fidelity: FidelityRecord) -> int:
        """Return how many samples one epoch of a brief training draws."""
        return min(len(self.everything), fidelity.samples or len(self.everything))


def make_context(
    config: SearchConfig,
    task: Task,
    transfer: TransferSet,
    teacher: Teacher | None,
    settings: tuple[SettingRecord, ...] = (),
) -> SearchContext:
    """Put together what trainings share.

    Args:
        transfer: the data, and what students train on.
        teacher: its outputs are in the cache; None without one.
        settings: of the features that students choose among; none where there is one for all.
    """
    accelerator = accelerator_device(config.accelerator)
    data = transfer.data
    outputs = error = None
    given = configured_methods(config)
    methods = without_teacher(given or ())
    if teacher is not None:
        outputs = cached_logits(teacher, data, split="validation").astype(np.float32)
        error = float(data.head.errors(outputs, data.validation.labels).mean())
        methods = given or ()
        if given is None:
            known = cached_logits(teacher, transfer, split="train").astype(np.float32)
            methods = default_methods(torch.from_numpy(known), data.head.kind)
    everything = LoadedSet.of(transfer, accelerator)
    labelled = transfer.labelled_only()
    return SearchContext(
        config=config,
        given=screen_of(config, data.pipeline, settings, data.head),
        task=task,
        data=data,
        accelerator=accelerator,
        everything=everything,
        labelled=everything if labelled is transfer else LoadedSet.of(labelled, accelerator),
        teacher=teacher,
        teacher_validation_logits=outputs,
        teacher_error=error,
        methods=methods,
        calibration=calibration_inputs(data, config.seed),
        settings=settings,
    )


def _resolved(value: _T | None) -> _T:
    if value is None:
        raise ValueError("the configuration was not resolved")
    return value
