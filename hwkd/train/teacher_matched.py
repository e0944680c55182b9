"""Teachers whose classes are not those of the data: outputs are matched by name, others masked.

A teacher that knows all classes of the data, in another order or among more, answers as any other.
One that knows some of them answers for these alone: of a training example of another class its
label speaks in its place, since what it would say of that example means nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.core.head import Head
from hwkd.train.dataset import Dataset
from hwkd.train.known_rows import KnownRows
from hwkd.train.teacher import Teacher
from hwkd.train.teacher_around import AroundTeacher, Network

# Less than the likeliest class: no share at any usual temperature, and well within float16.
_RULED_OUT = -200.0
_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class KnownLabels:
    """Which class each training example is of, by its content; examples of others are only known.

    Attributes:
        labels: of the train split, shape [n].
        digest: of these, since answers depend on them.
    """

    labels: NDArray[np.int64] = field(repr=False)
    rows: KnownRows = field(repr=False)
    digest: str

    @classmethod
    def of(cls, data: Dataset) -> KnownLabels:
        """Take note of all examples of a data set."""
        labels = np.asarray(data.split("train").labels, dtype=np.int64)
        return cls(
            labels=labels,
            rows=KnownRows.of(data),
            digest=hashlib.sha256(labels.tobytes()).hexdigest(),
        )

    def find(self, inputs: NDArray[np.float32], *, teacher: str) -> NDArray[np.int64]:
        """Return the class of each input, -1 of those that nothing is trained on; shape [n].

        Raises:
            TeacherError: if one is no example of the data.
        """
        found = self.rows.find(inputs, teacher=teacher)
        is_train = found < len(self.labels)
        return np.where(is_train, self.labels[np.where(is_train, found, 0)], -1)


@dataclass(frozen=True, kw_only=True)
class MatchedTeacher(AroundTeacher):
    """See `hwkd.train.teacher.Teacher`.

    Attributes:
        network: answers for its own classes.
        columns: of its outputs, those of a class of the data.
        classes: of the data, of these columns in order.
        known: None where it knows every class of the data.
    """

    head: Head = field(repr=False)
    columns: tuple[int, ...]
    classes: tuple[int, ...]
    known: KnownLabels | None = field(repr=False)

    @property
    def identity(self) -> str:
        """SHA-256 of the network, of which output is which class and of the labels that it asks."""
        labels = "" if self.known is None else self.known.digest
        matched = f"{self.columns} as {self.classes} of {self.head.size}"
        text = f"{self.network.identity} {matched} {labels}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def content(self) -> str:
        """SHA-256 of the network and of which output is which class."""
        text = f"{super().content} {self.columns} as {self.classes}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def description(self) -> str:
        """How it was made and which classes it knows."""
        names = [self.head.names[index] for index in self.classes]
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        knows = f"knows {len(names)} of {self.head.size} classes" + (f" ({shown})" if names else "")
        return f"{self.network.description}; {knows}"

    @property
    def num_outputs(self) -> int:
        """Number of classes of the data."""
        return self.head.size

    def alone(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what it says with classes that it does not know ruled out, shape [n, classes]."""
        return self.placed(self.network.logits(inputs)) if self.classes else self._nothing(inputs)

    def placed(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs of the network as outputs for the data."""
        shared = outputs[:, list(self.columns)]
        found = np.full((len(outputs), self.head.size), _RULED_OUT, dtype=np.float32)
        found[:, list(self.classes)] = shared - shared.max(axis=1, keepdims=True)
        return found

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what it says, or the label of training examples of which it knows nothing."""
        return answers_of([self], inputs, self.head)

    def _nothing(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros((len(inputs), self.head.size), dtype=np.float32)


def answers_of(
    members: Sequence[Teacher], inputs: NDArray[np.float32], head: Head
) -> NDArray[np.float32]:
    """Return what teachers say together: of a training example those that know its class.

    Where nobody knows it, its label speaks.

    Returns:
        Logits for the data, shape [n, classes].
    """
    answers = [
        m.alone(inputs) if isinstance(m, MatchedTeacher) else m.logits(inputs) for m in members
    ]
    partial = [m for m in members if isinstance(m, MatchedTeacher) and m.known is not None]
    found = head.mean_of(answers) if len(answers) > 1 else answers[0]
    if not partial or partial[0].known is None:
        return found
    labels = partial[0].known.find(inputs, teacher=partial[0].name)
    found = found.copy()
    for label in np.unique(labels[labels >= 0]).tolist():
        here = labels == label
        asked = [
            answer[here]
            for member, answer in zip(members, answers, strict=True)
            if not isinstance(member, MatchedTeacher) or label in member.classes
        ]
        if asked:
            found[here] = head.mean_of(asked) if len(asked) > 1 else asked[0]
        else:
            found[here] = _RULED_OUT
            found[here, label] = 0.0
    return np.maximum(found, np.float32(_RULED_OUT))


def match_classes(
    network: Network, theirs: Sequence[str], data: Dataset, *, asks_outputs: bool
) -> MatchedTeacher:
    """Match a teacher's outputs with the classes of the data by their names.

    Args:
        theirs: names of its outputs, in order.
        asks_outputs: False where methods look at its features alone, which need no class in common.

    Raises:
        TeacherError: if it shares fewer than two classes and methods ask for its outputs.
    """
    head = data.head
    where = {name: column for column, name in enumerate(theirs)}
    pairs = [(where[name], index) for index, name in enumerate(head.names) if name in where]
    is_whole = len(pairs) == head.size
    if len(pairs) < min(2, head.size) and asks_outputs:
        shared = f"shares the class {head.names[pairs[0][1]]!r}" if pairs else "shares no class"
        raise TeacherError(
            f"teacher {network.name}: its classes are {_some(theirs)}, those of the data "
            f"{_some(head.names)}: it {shared}, and outputs of two or more tell something; name "
            "them alike with --teacher-classes, or use a method on features, as fitnet, with a "
            "teacher that runs in torch"
        )
    return MatchedTeacher(
        network=network,
        head=head,
        columns=tuple(column for column, _ in pairs),
        classes=tuple(index for _, index in pairs),
        known=None if is_whole else KnownLabels.of(data),
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
