"""The teacher: opened or trained, one or several whose answers are averaged, and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.errors import DataError, TeacherError
from hwkd.core.head import Head
from hwkd.core.metric import ScoresRecord
from hwkd.core.progress import Progress
from hwkd.core.run_record import TeacherMemberRecord, TeacherRecord
from hwkd.core.teacher_input import TeacherInput
from hwkd.engine.setup.annotators import load_annotators
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import load_data
from hwkd.engine.setup.teacher_doubts import find_doubt
from hwkd.engine.setup.text_teacher import TextTeacher
from hwkd.engine.setup.transfer import TransferSet
from hwkd.language.model_folder import CONFIG_FILE
from hwkd.language.text_classifier import TextClassifier, open_text_classifier
from hwkd.signals.texts import as_text
from hwkd.tasks.base import SPLITS, TaskData
from hwkd.train.known_rows import KnownRows
from hwkd.train.logit_cache import cached_logits, logits_of_copies
from hwkd.train.teacher import Teacher, TeacherKind, require_knowledge
from hwkd.train.teacher_detector import DetectorTeacher, load_detector
from hwkd.train.teacher_input import seen_input
from hwkd.train.teacher_open import NetworkTeacher, open_teacher
from hwkd.train.teacher_paired import PairedTeacher
from hwkd.train.teacher_trained import TeacherTraining

_Single: TypeAlias = NetworkTeacher | TextTeacher | TextClassifier | DetectorTeacher


@dataclass(frozen=True, kw_only=True)
class EnsembleTeacher:
    """The mean answer of several teachers; see `hwkd.train.teacher.Teacher`."""

    members: tuple[_Single, ...] = field(repr=False)
    head: Head = field(repr=False)

    @property
    def kind(self) -> TeacherKind:
        """That of its first member."""
        return self.members[0].kind

    @property
    def is_from_cache(self) -> bool:
        """Whether earlier runs trained all members."""
        return all(member.is_from_cache for member in self.members)

    @property
    def name(self) -> str:
        """Names of its members."""
        return " + ".join(member.name for member in self.members)

    @property
    def identity(self) -> str:
        """SHA-256 of its members' identities, in their order."""
        return hashlib.sha256("\n".join(m.identity for m in self.members).encode()).hexdigest()

    @property
    def description(self) -> str:
        """How its members were made."""
        parts = "; ".join(member.description for member in self.members)
        return f"mean answer of {len(self.members)} teachers: {parts}"

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return self.members[0].num_outputs

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what they say together, shape [n, num_outputs]."""
        return self.head.mean_of([member.logits(inputs) for member in self.members])


def open_teachers(
    config: SearchConfig,
    data: TaskData,
    *,
    device: torch.device,
    training_s: float | None = None,
    must_finish: bool = False,
    own_dir: Path | None = None,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
) -> _Single | PairedTeacher | EnsembleTeacher:
    """Open the teachers of a configuration, or train one where it names none.

    Args:
        config: names files and factories; several are an ensemble.
        training_s: bound on training one; None is that of the configuration.
        must_finish: one that could not make all its passes within the bound is not trained at all.
        own_dir: where a teacher lies that is not worth keeping for other runs; None keeps none.
        check: called before every step of a training; raises to stop.

    Raises:
        TeacherError: if one cannot be opened or does not fit the data.
    """
    wanted = config.teacher
    if data.texts is not None and not wanted.sources:
        return TextTeacher(data=data, progress=progress)
    if config.transfer.made is not None and not wanted.sources:
        # What was made was made from a teacher of the data themselves.
        transfer = config.transfer.model_copy(update={"made": None})
        _, data = load_data(config.model_copy(update={"transfer": transfer}), progress=progress)
    budget_s = wanted.time_budget_s if training_s is None else training_s
    ours = data
    if wanted.sees == "paired":
        _require_halves(config.data)
        reading = config.reading.model_copy(update={"half": "teacher"})
        _, data = load_data(config.model_copy(update={"reading": reading}), progress=progress)
    pipeline = data.pipeline.record()
    members = [
        _from_file(source, data, config.reading.label, progress)
        or open_teacher(
            source,
            data,
            weights=weights,
            seen=seen_input(expected, pipeline),
            training=TeacherTraining(
                seed=config.seed, time_budget_s=budget_s, must_finish=must_finish
            ),
            device=device,
            own_dir=own_dir,
            progress=progress,
            check=check,
        )
        for source, weights, expected in (wanted.members or ((None, None, TeacherInput()),))
    ]
    if wanted.sees == "paired":
        alone = TextTeacher | TextClassifier | DetectorTeacher
        networks = [one for one in members if not isinstance(one, alone)]
        return PairedTeacher.of(networks, data, ours)  # of a pair, no half is texts or boxes
    if len(members) == 1:
        return members[0]
    return EnsembleTeacher(members=tuple(members), head=data.head)


def _require_halves(data: str | None) -> None:
    """Refuse data that have no other half: only an NPZ file brings one.

    Raises:
        DataError: says what to give.
    """
    if data is None or Path(data).suffix.lower() != ".npz":
        raise DataError(
            f"--teacher-sees paired: needs an NPZ file with teacher_x_train beside x_train, and "
            f"the data are {data or 'the digits that hwkd brings'}; give one with --data"
        )


def _from_file(
    source: str | None, data: TaskData, label: str | None, progress: Progress
) -> _Single | None:
    """Return a teacher that only some data have: votes, readers of texts, detectors; else None.

    Args:
        label: columns of a table with labels.

    Raises:
        TeacherError: if the data are others.
    """
    if source is None:
        return None
    if source.lower().endswith((".npz", ".csv", ".tsv")):
        return load_annotators(Path(source), data, label=label)
    if source.lower().endswith(".toml"):
        return load_detector(
            Path(source),
            input_shape=data.input_shape,
            head=data.head,
            pipeline=data.pipeline.record(),
        )
    if Path(source).name.lower() != CONFIG_FILE:
        return None
    if data.texts is None:
        raise TeacherError(
            f"--teacher {source}: is a transformer that reads texts, and the data are none; give "
            "--task text, or answers in a file"
        )
    texts = [as_text(row[0]) for name in SPLITS for row in data.texts[name]]
    rows = KnownRows([data.split(name).inputs for name in SPLITS])
    return open_text_classifier(Path(source), texts, rows, data.head, progress=progress)


def judge_teacher(
    teacher: _Single | PairedTeacher | EnsembleTeacher,
    transfer: TransferSet,
    *,
    progress: Progress,
) -> TeacherRecord:
    """Refuse a teacher that knows nothing; say how good it is, and keep its answers for students.

    Raises:
        TeacherError: if one is at chance level or its answers do not fit the data.
    """
    data = transfer.data
    members = teacher.members if isinstance(teacher, EnsembleTeacher) else (teacher,)
    judged = tuple(_member(member, data, progress) for member in members)
    scores = data.scores("validation", _validation(teacher, data, progress))
    logits_of_copies(
        teacher,
        transfer,
        transfer.copy_seeds,
        augmentation=transfer.augmentation,
        progress=progress,
    )
    return TeacherRecord(
        kind=teacher.kind,
        description=teacher.description,
        scores=ScoresRecord(validation_float=scores),
        seconds=0.0,
        from_cache=teacher.is_from_cache,
        identity=teacher.identity,
        members=judged,
    )


def _member(
    teacher: _Single | PairedTeacher, data: TaskData, progress: Progress
) -> TeacherMemberRecord:
    """Refuse one that is at chance level, by its name; say how good it is and what is odd."""
    outputs = _validation(teacher, data, progress)
    # What a half of a pair is shown is not what the data shows; an adapter says what is right.
    doubt = None
    if not isinstance(teacher, PairedTeacher | TextTeacher | DetectorTeacher):
        doubt = find_doubt(teacher, data, outputs, progress=progress)
    remedy = None if doubt is None else doubt.remedy
    require_knowledge(teacher, data, validation_outputs=outputs, remedy=remedy)
    return TeacherMemberRecord(
        name=teacher.name,
        kind=teacher.kind,
        description=teacher.description,
        input=teacher.seen.text,
        scores=ScoresRecord(validation_float=data.scores("validation", outputs)),
        identity=teacher.identity,
        doubt=None if doubt is None else doubt.line,
    )


def _validation(teacher: Teacher, data: TaskData, progress: Progress) -> NDArray[np.float32]:
    stored = cached_logits(teacher, data, split="validation", progress=progress)
    return np.asarray(stored, dtype=np.float32)
