"""A teacher that sees something else of each example than students do."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwkd.core.choices import TeacherSees
from hwkd.core.errors import DataError, TeacherError
from hwkd.core.head import Head
from hwkd.train.dataset import SPLITS, Dataset
from hwkd.train.known_rows import KnownRows
from hwkd.train.teacher_answers import AnswersTeacher
from hwkd.train.teacher_around import AroundTeacher, Network

_SEEN: Mapping[TeacherSees, str] = {
    "paired": "the other half of each pair", "samples": "samples, without their features",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PairedTeacher(AroundTeacher):
    """See `hwkd.train.teacher.Teacher`; asked about an example, it looks at its other half.

    Attributes:
        sees: what that half is.
    """

    theirs: Dataset = field(repr=False)
    sees: TeacherSees = "paired"
    rows: KnownRows = field(repr=False)
    further: NDArray[np.float32] | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        networks: Sequence[Network | AnswersTeacher],
        theirs: Dataset,
        ours: Dataset,
        *,
        sees: TeacherSees = "paired",
        further: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    ) -> PairedTeacher:
        """Pair two data sets, example by example.

        Args:
            networks: one.
            theirs: what it sees.
            sees: what that is beside what students see.
            ours: what students see.
            further: inputs without labels, those of the teacher and those of students.

        Raises:
            DataError: if they are not of the same examples in the same order.
            TeacherError: if there are several networks, or it is a file of answers.
        """
        network = networks[0]
        if len(networks) > 1 or isinstance(network, AnswersTeacher):
            raise TeacherError(
                f"--teacher-sees {sees}: takes one teacher that runs; hwkd answers writes what it "
                "says of pairs as a file, which then is about what students see"
            )
        for name in SPLITS:
            own, other = ours.split(name).labels, theirs.split(name).labels
            if not np.array_equal(own, other):
                raise DataError(
                    f"--teacher-sees {sees}: the {name} split has {len(own)} examples for students "
                    f"and {len(other)} for the teacher, or in another order; give one of each pair "
                    "in the same place of both arrays"
                )
        if further is None:
            return cls(network=network, theirs=theirs, sees=sees, rows=KnownRows.of(ours))
        known = [*(np.asarray(ours.split(name).inputs) for name in SPLITS), further[1]]
        return cls(
            network=network, theirs=theirs, sees=sees, rows=KnownRows(known), further=further[0]
        )

    @property
    def identity(self) -> str:
        """SHA-256 of the network and of what it sees."""
        both = hashlib.sha256(f"{self.network.identity} sees {self.theirs.fingerprint}".encode())
        if self.further is not None:
            both.update(np.ascontiguousarray(self.further).data)
        return both.hexdigest()

    @property
    def description(self) -> str:
        """How it was made, and what it sees."""
        return f"{self.network.description}; sees {_SEEN[self.sees]}"

    @property
    def head(self) -> Head:
        """What outputs mean."""
        return self.theirs.head

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return self.network.num_outputs

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network says of the other halves of some examples."""
        rows = self.rows.find(inputs, teacher=self.name)
        return self.network.logits(self._halves(rows))

    def _halves(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        splits = [np.asarray(self.theirs.split(name).inputs) for name in SPLITS]
        splits += [] if self.further is None else [self.further]
        found = np.empty((len(rows), *self.theirs.input_shape), dtype=np.float32)
        first = 0
        for split in splits:
            here = (rows >= first) & (rows < first + len(split))
            found[here] = split[rows[here] - first]
            first += len(split)
        return found
