"""A teacher that asks another network: what it says of itself is what that network says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hwkd.train.teacher import TeacherKind
from hwkd.train.teacher_input import SeenInput
from hwkd.train.teacher_module import ModuleTeacher
from hwkd.train.teacher_onnx import OnnxTeacher

Network: TypeAlias = OnnxTeacher | ModuleTeacher


@dataclass(frozen=True, kw_only=True)
class AroundTeacher:
    """The part of `hwkd.train.teacher.Teacher` that is the network's own."""

    network: Network

    @property
    def kind(self) -> TeacherKind:
        """That of the network."""
        return self.network.kind

    @property
    def name(self) -> str:
        """That of the network."""
        return self.network.name

    @property
    def content(self) -> str:
        """SHA-256 of what the network computes with."""
        return self.network.content

    @property
    def seen(self) -> SeenInput:
        """What the network is shown."""
        return self.network.seen

    @property
    def is_from_cache(self) -> bool:
        """Whether an earlier run trained it."""
        return self.network.is_from_cache
