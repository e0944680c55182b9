"""One teacher as it was asked for: a file, a factory, a student of before, or one trained here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.core.progress import Progress
from hwkd.core.signals import Signal
from hwkd.core.teacher_input import ANNOTATOR_FILES, TeacherInput
from hwkd.core.teaching import TeacherLesson
from hwkd.deploy.student_facts import METADATA_KEY, read_facts
from hwkd.engine.setup.annotators import load_annotators
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.methods import configured_methods
from hwkd.engine.setup.text_teacher import TextTeacher
from hwkd.io.student_folder import DESCRIPTION_FILE
from hwkd.language.model_folder import CONFIG_FILE
from hwkd.language.text_classifier import TextClassifier, open_text_classifier
from hwkd.signals.texts import as_text
from hwkd.tasks.base import SPLITS, TaskData
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.known_rows import KnownRows
from hwkd.train.teacher_answers import AnswersTeacher
from hwkd.train.teacher_detector import DetectorTeacher, load_detector
from hwkd.train.teacher_input import seen_input
from hwkd.train.teacher_matched import MatchedTeacher, match_classes
from hwkd.train.teacher_onnx import OnnxTeacher
from hwkd.train.teacher_open import NetworkTeacher, open_teacher
from hwkd.train.teacher_student import earlier_student
from hwkd.train.teacher_trained import TeacherTraining

SingleTeacher: TypeAlias = (
    NetworkTeacher | MatchedTeacher | TextTeacher | TextClassifier | DetectorTeacher
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One teacher as it was asked for; see `TeacherConfig.members`."""

    source: str | None
    weights: Path | None
    expected: TeacherInput
    classes: tuple[str, ...]


def open_member(
    wanted: Wanted,
    config: SearchConfig,
    data: TaskData,
    *,
    training: TeacherTraining,
    lesson: TeacherLesson | None = None,
    device: torch.device,
    own_dir: Path | None,
    progress: Progress,
    check: Callable[[], None],
) -> SingleTeacher:
    """Open one teacher, and match its classes with those of the data where they are others."""
    source, names, pipeline = wanted.source, wanted.classes, data.pipeline.record()
    seen = seen_input(wanted.expected, pipeline)
    if source is not None and Path(source).name == DESCRIPTION_FILE:
        earlier = earlier_student(Path(source), pipeline, kind=data.head.kind.name)
        source = str(earlier.path)
        seen = earlier.seen if wanted.expected == TeacherInput() else seen
        names = () if earlier.names == data.class_names else earlier.names
    found = _from_file(source, data, config.reading.label, progress)
    if found is not None:
        return found
    if names and not data.head.kind.of_classes:
        raise TeacherError(
            f"--teacher {wanted.source}: its outputs are {', '.join(names[:6])}, and the data has "
            f"{data.head.kind.name} {', '.join(data.class_names[:6])}; give a teacher of these"
        )
    network = open_teacher(
        source,
        data,
        weights=wanted.weights,
        seen=seen,
        head=ClassesHead(names=names) if names else None,
        training=training,
        lesson=lesson,
        device=device,
        own_dir=own_dir,
        progress=progress,
        check=check,
    )
    if isinstance(network, OnnxTeacher):
        network = _as_it_answers(network, data)
    if not names or isinstance(network, AnswersTeacher):
        return network
    return match_classes(
        network,
        names,
        data,
        asks_outputs=isinstance(network, OnnxTeacher) or _asks_outputs(config),
    )


def known_part(
    teacher: MatchedTeacher, data: TaskData, outputs: NDArray[np.float32]
) -> tuple[TaskData, NDArray[np.float32]]:
    """Return the data whose validation examples are of classes that a teacher knows.

    Args:
        outputs: of the teacher for all of them, as outputs for the data.

    Returns:
        Data with these classes alone, and outputs for it.
    """
    classes = np.array(teacher.classes, dtype=np.int64)
    labels = data.validation.labels
    kept = np.isin(labels, classes)
    where = np.full(data.num_outputs, -1)
    where[classes] = np.arange(len(classes))
    validation = replace(
        data.validation,
        inputs=data.validation.inputs[kept],
        labels=where[labels[kept]],
        wholes=None if data.validation.wholes is None else data.validation.wholes[kept],
    )
    head = ClassesHead(names=tuple(data.class_names[at] for at in classes))
    return replace(data, head=head, validation=validation), outputs[kept][:, classes]


def _asks_outputs(config: SearchConfig) -> bool:
    """Tell whether students learn from what a teacher answers, and not from its features alone."""
    methods = configured_methods(config)
    if not methods:
        return True
    return any(Signal.LOGITS in e.method.needs for e in methods if e.method.asks_teacher)


def _as_it_answers(teacher: OnnxTeacher, data: TaskData) -> OnnxTeacher:
    """Return a teacher whose answers are read as its file says, if a student of hwkd's is in it.

    Raises:
        ModelFileError: if what it says is damaged.
    """
    facts = read_facts(teacher.said.get(METADATA_KEY, "{}"), where=str(teacher.path))
    if facts is None or facts.answer.kind != data.head.kind.name or not facts.answer.std:
        return teacher
    return teacher.in_deviations(facts.answer.mean, facts.answer.std)


def _from_file(
    source: str | None, data: TaskData, label: str | None, progress: Progress
) -> SingleTeacher | None:
    """Return a teacher that only some data have: votes, readers of texts, detectors; else None.

    Args:
        label: columns of a table with labels.

    Raises:
        TeacherError: if the data are others.
    """
    if source is None:
        return None
    if source.lower().endswith(ANNOTATOR_FILES):
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
