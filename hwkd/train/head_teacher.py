"""What teachers have in common that answer as a head of the data has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hwkd.core.head import Head
from hwkd.train.teacher_input import AS_STUDENTS, SeenInput


@dataclass(frozen=True, kw_only=True)
class HeadTeacher:
    """A part of `hwkd.train.teacher.Teacher`.

    Attributes:
        head: of the data.
        is_from_cache: an earlier run trained it.
    """

    name: str
    head: Head = field(repr=False)
    is_from_cache: bool = False

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        return self.head.size


@dataclass(frozen=True, kw_only=True)
class NetworkTeacher(HeadTeacher):
    """A teacher that is one network.

    Attributes:
        content: SHA-256 of what it computes with.
        seen: what it is shown of an input.
    """

    content: str
    description: str
    seen: SeenInput = AS_STUDENTS

    @property
    def identity(self) -> str:
        """SHA-256 of what it computes with and of what it is shown."""
        return self.seen.identity_of(self.content)
