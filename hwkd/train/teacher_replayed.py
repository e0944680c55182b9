"""A teacher's answers from before the data grew, and the teacher itself for what is new."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.train.dataset import SPLITS, KeyedDataset
from hwkd.train.head_teacher import HeadTeacher
from hwkd.train.known_rows import KnownRows
from hwkd.train.teacher import Teacher, as_outputs
from hwkd.train.teacher_answers import AnswersRecord, network_of, read_answers
from hwkd.train.top_answers import TopAnswers


@dataclass(frozen=True, kw_only=True)
class ReplayedTeacher(HeadTeacher):
    """See `hwkd.train.teacher.Teacher`; examples are known by their raw content.

    Attributes:
        top: classes that are known of each old answer; None is all outputs.
        known: row of the file for each example of the data, split after split; -1 of a new one.
        asked: who answers new ones; None where there are none.
    """

    record: AnswersRecord
    answers: TopAnswers = field(repr=False)
    rows: KnownRows = field(repr=False)
    known: NDArray[np.int64] = field(repr=False)
    asked: Teacher | None
    kind: Literal["answers"] = "answers"

    @property
    def content(self) -> str:
        """SHA-256 of the network that answered, before and now."""
        return self.record.network

    @property
    def identity(self) -> str:
        """That of who answers now."""
        return self.record.teacher if self.asked is None else self.asked.identity

    @property
    def description(self) -> str:
        """How who answers was made."""
        return (self.record if self.asked is None else self.asked).description

    @property
    def replayed(self) -> int:
        """Examples whose answers are old ones."""
        return int((self.known >= 0).sum())

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what was answered or is answered now, shape [n, num_outputs]."""
        rows = self.known[self.rows.find(inputs, teacher=self.name)]
        is_new = rows < 0
        found = self.answers.logits(np.where(is_new, 0, rows), self.num_outputs)
        if is_new.any():
            assert self.asked is not None  # who is there for what is new
            found[is_new] = self.head.centred(self.asked.logits(inputs[is_new]))
        return as_outputs(found, self.head, examples=len(inputs), teacher=self.name, is_own=True)


def replay(
    path: Path, data: KeyedDataset, *, top: int | None, ask: Callable[[], Teacher]
) -> ReplayedTeacher:
    """Open a file of answers for data that hold examples of its own data and new ones.

    Args:
        top: classes that are asked for; None is as many as the file has.
        ask: opens who answers what is new; not called where nothing is.

    Raises:
        TeacherError: if the file knows no example of the data, is about other classes, or is of
            another teacher than the one that is opened.
    """
    where = f"--extend {path}"
    record, answers, keys = read_answers(path, option="--extend")
    if keys is None:
        raise TeacherError(
            f"{where}: was written by a version that did not note which example each answer is "
            "about; write all answers anew"
        )
    if record.classes != data.head.names:
        theirs, ours = (", ".join(each[:6]) for each in (record.classes, data.head.names))
        raise TeacherError(f"{where}: its answers are of {theirs}; the data has {ours}")
    if top is not None and top != record.top:
        kept = "all outputs are" if record.top is None else f"{record.top} of the outputs are"
        raise TeacherError(f"{where}: of each answer {kept} kept; leave --top {top} out")
    there = {row.tobytes(): number for number, row in enumerate(keys)}
    known = np.array([there.get(row.tobytes(), -1) for n in SPLITS for row in data.row_keys[n]])
    if (known < 0).all():
        raise TeacherError(
            f"{where}: knows none of the {len(known):,} examples of the data; give the file of the "
            "data that these grew from, or leave --extend out"
        )
    asked = ask() if (known < 0).any() else None
    if asked is not None and network_of(asked) != record.network:
        raise TeacherError(
            f"{where}: holds answers of another teacher ({record.description}) than the one that "
            f"would answer what is new ({asked.description}; one that hwkd trains is another for "
            "other data); give that one with --teacher, or leave --extend out"
        )
    return ReplayedTeacher(
        name=path.name,
        record=record,
        head=data.head,
        answers=answers,
        rows=KnownRows.of(data),
        known=known,
        asked=asked,
    )
