"""The teacher: opened or trained, one or several whose answers are averaged, and judged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.errors import DataError, TeacherError
from hwkd.core.head import Head
from hwkd.core.metric import ScoresRecord
from hwkd.core.progress import Progress
from hwkd.core.run_record import TeacherMemberRecord, TeacherRecord
from hwkd.core.teacher_input import TeacherInput
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.methods import configured_methods
from hwkd.engine.setup.open_member import SingleTeacher, Wanted, known_part, open_member
from hwkd.engine.setup.resolve import load_data
from hwkd.engine.setup.teacher_doubts import find_doubt
from hwkd.engine.setup.text_teacher import TextTeacher
from hwkd.engine.setup.transfer import Half, TransferSet, read_unlabelled
from hwkd.language.text_classifier import TextClassifier
from hwkd.signals.features import RAW
from hwkd.tasks.base import TaskData
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.hearing import Hearing
from hwkd.train.logit_cache import cached_logits, logits_of_copies
from hwkd.train.teacher import Teacher, TeacherKind, require_knowledge
from hwkd.train.teacher_detector import DetectorTeacher
from hwkd.train.teacher_matched import MatchedTeacher, answers_of
from hwkd.train.teacher_paired import PairedTeacher
from hwkd.train.teacher_trained import TeacherTraining


@dataclass(frozen=True, kw_only=True)
class EnsembleTeacher:
    """The mean answer of several teachers; see `hwkd.train.teacher.Teacher`."""

    members: tuple[SingleTeacher, ...] = field(repr=False)
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
        if any(isinstance(member, MatchedTeacher) for member in self.members):
            return answers_of(self.members, inputs, self.head)
        return self.head.mean_of([member.logits(inputs) for member in self.members])


def _data_of_teachers(
    config: SearchConfig, data: TaskData, progress: Progress
) -> tuple[TaskData, TaskData]:
    """Return the student's data without what was made, and what its teachers see of it."""
    wanted = config.teacher
    if config.transfer.made is not None and not wanted.sources:
        # What was made was made from a teacher of the data themselves.
        transfer = config.transfer.model_copy(update={"made": None})
        _, data = load_data(config.model_copy(update={"transfer": transfer}), progress=progress)
    if wanted.sees == "students":
        return data, data
    other: dict[str, object]
    if wanted.sees == "paired":
        _require_halves(config.data)
        other = {"half": "teacher"}
    else:
        _require_features(data, has_teacher=bool(wanted.sources))
        other = {"features": RAW, "scaling": None, "fitted": (), **_stride_of(data)}
    reading = config.reading.model_copy(update=other)
    _, seen = load_data(config.model_copy(update={"reading": reading}), progress=progress)
    return data, seen


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
) -> SingleTeacher | PairedTeacher | EnsembleTeacher:
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
    budget_s = wanted.time_budget_s if training_s is None else training_s
    ours, data = _data_of_teachers(config, data, progress)
    lessons = (entry.method.teacher_lesson() for entry in configured_methods(config) or ())
    lesson = next((each for each in lessons if each is not None), None)
    members = [
        open_member(
            Wanted(source, weights, expected, classes),
            config,
            data,
            training=TeacherTraining(
                seed=config.seed, time_budget_s=budget_s, must_finish=must_finish
            ),
            lesson=lesson,
            device=device,
            own_dir=own_dir,
            progress=progress,
            check=check,
        )
        for source, weights, expected, classes in (
            wanted.members or ((None, None, TeacherInput(), ()),)
        )
    ]
    if wanted.sees != "students":
        return _paired(members, config, data, ours)
    if len(members) == 1:
        return members[0]
    return EnsembleTeacher(members=tuple(members), head=data.head)


def _paired(
    members: Sequence[SingleTeacher], config: SearchConfig, theirs: TaskData, ours: TaskData
) -> PairedTeacher:
    """Pair what a teacher sees with what students see.

    Raises:
        TeacherError: if it is of no half of the data.
    """
    sees = config.teacher.sees
    alone = TextTeacher | TextClassifier | DetectorTeacher | MatchedTeacher
    networks = [one for one in members if not isinstance(one, alone)]
    if len(networks) < len(members):  # of a pair, no half is texts or boxes
        raise TeacherError(
            f"--teacher-sees {sees}: takes a teacher of the classes of the data; leave "
            "--teacher-classes out"
        )
    further = _further_pairs(config, theirs, ours)
    return PairedTeacher.of(networks, theirs, ours, sees=sees, further=further)


def _further_pairs(
    config: SearchConfig, theirs: TaskData, ours: TaskData
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return both halves of the unlabelled examples, the teacher's first; None without any.

    Raises:
        DataError: if they are not pairs.
    """
    given = config.transfer.unlabelled
    if given is None:
        return None
    path = Path(given)
    half: Half = "teacher" if config.teacher.sees == "paired" else "student"
    seen = read_unlabelled(path, theirs.pipeline, half=half)
    own = read_unlabelled(path, ours.pipeline)
    if len(seen) != len(own):
        raise DataError(
            f"--unlabelled {given}: has {len(own)} examples for students and {len(seen)} for the "
            "teacher; give one of each pair in the same place of both arrays"
        )
    return seen, own


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


def _require_features(data: TaskData, *, has_teacher: bool) -> None:
    """Refuse data whose students see the samples themselves, or that has none.

    Raises:
        DataError: says what to do.
        TeacherError: where no teacher is given; one trained here sees what students see.
    """
    if not has_teacher:
        raise TeacherError(
            "--teacher-sees samples: needs a teacher of yours, as one that is trained here sees "
            "what students see; give --teacher model.onnx"
        )
    if data.features == RAW or data.texts is not None:
        raise DataError(
            f"--teacher-sees samples: students of {data.source} see no features of a signal; leave "
            "it out, or say with --features what they see"
        )


def _stride_of(data: TaskData) -> dict[str, object]:
    """Return where the next window of continuous audio begins, which follows from the features."""
    hears = data.head.hears if isinstance(data.head, ClassesHead) else None
    return {"stride_s": hears.stride_s} if isinstance(hears, Hearing) else {}


def judge_teacher(
    teacher: SingleTeacher | PairedTeacher | EnsembleTeacher,
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
    is_heard = any(member.scores.validation_float for member in judged)
    outputs = _validation(teacher, data, progress)
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
        scores=ScoresRecord(
            validation_float=data.scores("validation", outputs) if is_heard else None
        ),
        seconds=0.0,
        from_cache=teacher.is_from_cache,
        identity=teacher.identity,
        members=judged,
        is_partial=any(isinstance(m, MatchedTeacher) and m.known is not None for m in members),
    )


def _member(
    teacher: SingleTeacher | PairedTeacher, data: TaskData, progress: Progress
) -> TeacherMemberRecord:
    """Refuse one that is at chance level, by its name; say how good it is and what is odd."""
    outputs = _validation(teacher, data, progress)
    if isinstance(teacher, MatchedTeacher) and teacher.known is not None:
        data, outputs = known_part(teacher, data, outputs)
    # What a half of a pair is shown is not what the data shows; an adapter says what is right, and
    # so do names.
    doubt = None
    if not isinstance(teacher, PairedTeacher | TextTeacher | DetectorTeacher | MatchedTeacher):
        doubt = find_doubt(teacher, data, outputs, progress=progress)
    remedy = None if doubt is None else doubt.remedy
    is_heard = not isinstance(teacher, MatchedTeacher) or bool(teacher.classes)
    if is_heard:
        require_knowledge(teacher, data, validation_outputs=outputs, remedy=remedy)
    return TeacherMemberRecord(
        name=teacher.name,
        kind=teacher.kind,
        description=teacher.description,
        input=teacher.seen.text,
        scores=ScoresRecord(
            validation_float=data.scores("validation", outputs) if is_heard else None
        ),
        identity=teacher.identity,
        doubt=None if doubt is None else doubt.line,
    )


def _validation(teacher: Teacher, data: TaskData, progress: Progress) -> NDArray[np.float32]:
    stored = cached_logits(teacher, data, split="validation", progress=progress)
    return np.asarray(stored, dtype=np.float32)
