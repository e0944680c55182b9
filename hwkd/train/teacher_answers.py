"""A teacher that is a file of its answers: bound to the data that they are about.

The file is safetensors, which holds numbers and nothing that runs. Its header says whose answers
they are, and has a SHA-256 of all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hwkd.core.errors import ConfigError, RunFolderError, TeacherError, first_line
from hwkd.core.head import Head
from hwkd.core.strict_model import StoredInt, StrictModel, read_record
from hwkd.io.paths import written_atomically
from hwkd.train.dataset import SPLITS, Dataset, KeyedDataset, SplitName
from hwkd.train.head_teacher import HeadTeacher
from hwkd.train.known_rows import KnownRows
from hwkd.train.teacher import Teacher, as_outputs, content_of, members_of
from hwkd.train.teacher_input import AS_STUDENTS, SeenInput
from hwkd.train.top_answers import TopAnswers

_KEY = "hwkd.answers"
# What examples are known by once the data grew; files of older versions have none.
_KEYS = "keys"
_MOST_CLASSES = 65536


class AnswersRecord(StrictModel):
    """What a file of answers says of itself.

    Attributes:
        data: fingerprint of the data set.
        teacher: identity of whoever answered.
        top: classes kept of each answer; None is all outputs.
        examples: of each split, in the order of the rows.
        sha256: of all rows.
        classes: names of the outputs; none in files of older versions.
        network: SHA-256 of what answered, however it was shown its inputs; likewise.
    """

    schema_version: Literal[1] = 1
    data: str
    teacher: str
    description: str
    num_outputs: StoredInt
    top: StoredInt | None
    examples: dict[SplitName, StoredInt]
    sha256: str
    classes: tuple[str, ...] = ()
    network: str = ""


@dataclass(frozen=True, kw_only=True)
class AnswersTeacher(HeadTeacher):
    """See `hwkd.train.teacher.Teacher`; it knows the examples of its data and no others."""

    identity: str
    description: str
    answers: TopAnswers = field(repr=False)
    rows: KnownRows = field(repr=False)
    seen: SeenInput = AS_STUDENTS
    kind: Literal["answers"] = "answers"

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what was answered, shape [n, num_outputs]."""
        rows = self.rows.find(inputs, teacher=self.name)
        found = self.answers.logits(rows, self.num_outputs)
        # It was written as this data has it, whoever answered.
        return as_outputs(found, self.head, examples=len(inputs), teacher=self.name, is_own=True)


def write_answers(
    path: Path, teacher: Teacher, data: KeyedDataset, *, top: int | None
) -> AnswersRecord:
    """Ask a teacher about every example of a data set and write what it says.

    Args:
        top: classes that are kept of each answer; None keeps all outputs.

    Raises:
        ConfigError: if there are no so many classes, or the file is there.
        TeacherError: if an answer is outside float16.
    """
    _require_top(top, data.head)
    if path.suffix.lower() != ".safetensors" or path.exists():
        raise ConfigError(f"--out {path}: give the name of a new .safetensors file")
    asked = [teacher.logits(np.asarray(data.split(name).inputs)) for name in SPLITS]
    logits = data.head.centred(np.concatenate(asked))
    if np.abs(logits).max(initial=0.0) > np.finfo(np.float16).max:
        raise TeacherError(f"teacher {teacher.name}: answers outside float16; scale them down")
    answers = TopAnswers.of(logits, top)
    keys = np.concatenate([data.row_keys[name] for name in SPLITS])
    record = AnswersRecord(
        data=data.fingerprint,
        teacher=teacher.identity,
        description=teacher.description,
        num_outputs=data.num_outputs,
        top=answers.classes.shape[1] or None,
        examples={name: len(data.split(name).labels) for name in SPLITS},
        sha256=_digest(answers, keys),
        classes=data.head.names,
        network=network_of(teacher),
    )
    tensors: Mapping[str, NDArray[Any]] = {
        "values": answers.values, "classes": answers.classes, _KEYS: keys,
    }  # fmt: skip
    content = save(dict(tensors), metadata={_KEY: record.model_dump_json()})
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)
    return record


def load_answers(path: Path, data: Dataset) -> AnswersTeacher:
    """Open a file of answers as a teacher of the data that it is about.

    Raises:
        TeacherError: if it is none, damaged, or about other data.
    """
    record, answers, _ = read_answers(path, option="--teacher")
    if record.data != data.fingerprint:
        raise TeacherError(
            f"--teacher {path}: answers about other data (fingerprint {record.data[:12]}, here "
            f"{data.fingerprint[:12]}); give the data, split and preprocessing that it was written "
            "for, or write one with hwkd answers"
        )
    splits = [np.asarray(data.split(name).inputs) for name in SPLITS]
    if record.num_outputs != data.num_outputs or len(answers.values) != sum(map(len, splits)):
        raise TeacherError(f"--teacher {path}: holds another number of answers than it says")
    kept = "all outputs" if record.top is None else f"the {record.top} likeliest classes"
    return AnswersTeacher(
        name=path.name,
        identity=hashlib.sha256(f"{record.teacher} kept {record.sha256}".encode()).hexdigest(),
        description=f"file {path.name} with {kept} of each answer of: {record.description}",
        head=data.head,
        answers=answers,
        rows=KnownRows(splits),
    )


def network_of(teacher: Teacher) -> str:
    """Return a SHA-256 of what one teacher, or several together, compute with."""
    parts = [content_of(member) for member in members_of(teacher)]
    return parts[0] if len(parts) == 1 else hashlib.sha256("\n".join(parts).encode()).hexdigest()


def read_answers(
    path: Path, *, option: str
) -> tuple[AnswersRecord, TopAnswers, NDArray[np.uint8] | None]:
    """Read a file of answers: what it says of itself, the rows, and what they are known by.

    Args:
        option: that named it, for messages.

    Raises:
        TeacherError: if it is none, or damaged.
    """
    try:
        with safe_open(path, framework="np") as content:
            text = (content.metadata() or {}).get(_KEY)
            if text is None:
                raise TeacherError(
                    f"{option} {path}: holds no answers of a teacher; write them with hwkd "
                    "answers, and give weights with --teacher-weights"
                )
            answers = TopAnswers(
                values=content.get_tensor("values"), classes=content.get_tensor("classes")
            )
            keys = content.get_tensor(_KEYS) if _KEYS in content.keys() else None  # noqa: SIM118
        record = read_record(AnswersRecord, text.encode(), where=str(path), what="file of answers")
    except (SafetensorError, OSError, RunFolderError, UnicodeError) as error:
        raise TeacherError(
            f"{option} {path}: no readable file of answers ({first_line(error)}); write it again "
            "with hwkd answers"
        ) from error
    if not _is_whole(answers, keys, record):
        raise TeacherError(
            f"{option} {path}: damaged: other answers than were written; write it again"
        )
    return record, answers, keys


def _is_whole(answers: TopAnswers, keys: NDArray[np.uint8] | None, record: AnswersRecord) -> bool:
    values, classes = answers.values, answers.classes
    columns = record.num_outputs if record.top is None else record.top + 1
    are_known = keys is None or (
        keys.dtype == np.uint8 and keys.ndim == 2 and len(keys) == len(values)
    )
    return (
        are_known
        and values.dtype == np.float16
        and classes.dtype in (np.uint8, np.uint16)
        and values.ndim == classes.ndim == 2
        and values.shape[1] == columns
        and classes.shape == (len(values), record.top or 0)
        and _digest(answers, keys) == record.sha256
        and (not classes.size or int(classes.max()) < record.num_outputs)
    )


def _digest(answers: TopAnswers, keys: NDArray[np.uint8] | None) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(answers.values).tobytes())
    digest.update(np.ascontiguousarray(answers.classes).tobytes())
    if keys is not None:
        digest.update(np.ascontiguousarray(keys).tobytes())
    return digest.hexdigest()


def _require_top(top: int | None, head: Head) -> None:
    if top is None:
        return
    if not head.kind.of_classes:
        raise ConfigError(f"--top {top}: is of classes; the data has {head.kind.name}")
    if head.size > _MOST_CLASSES or not 1 <= top <= head.size:
        raise ConfigError(f"--top {top}: the data has {head.size} classes; give 1 to {head.size}")
