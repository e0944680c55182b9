"""What a teacher is, and the checks that every teacher passes before anything learns from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.core.head import Head
from hwkd.train.dataset import Dataset

TeacherKind: TypeAlias = Literal["trained here", "onnx", "factory", "answers", "transformers"]


class Teacher(Protocol):
    """A network that students learn from; it never changes."""

    @property
    def kind(self) -> TeacherKind:
        """Where it came from."""
        ...

    @property
    def name(self) -> str:
        """Short name: of the network, the file or the factory."""
        ...

    @property
    def identity(self) -> str:
        """SHA-256 of what it computes with (weights and structure), 64 hex digits."""
        ...

    @property
    def description(self) -> str:
        """How it was made, in one sentence."""
        ...

    @property
    def num_outputs(self) -> int:
        """Number of outputs."""
        ...

    @property
    def is_from_cache(self) -> bool:
        """Whether an earlier run trained it."""
        ...

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs, of classes before softmax, shape [n, num_outputs].

        Args:
            inputs: normalised like the train split, shape [n, *input_shape].
        """
        ...


@runtime_checkable
class Together(Protocol):
    """A teacher of several, who answer together."""

    @property
    def members(self) -> Sequence[Teacher]:
        """Each of them."""
        ...


@runtime_checkable
class OfContent(Protocol):
    """A teacher that knows what it computes with apart from how it is shown its inputs."""

    @property
    def content(self) -> str:
        """SHA-256 of weights and structure."""
        ...


def content_of(teacher: Teacher) -> str:
    """Return a SHA-256 of what a teacher computes with, however it is shown its inputs."""
    return teacher.content if isinstance(teacher, OfContent) else teacher.identity


def members_of(teacher: Teacher) -> tuple[Teacher, ...]:
    """Return the teachers that answer together, or the only one."""
    return tuple(teacher.members) if isinstance(teacher, Together) else (teacher,)


def require_knowledge(
    teacher: Teacher,
    data: Dataset,
    *,
    validation_outputs: NDArray[np.float32],
    remedy: str | None = None,
) -> None:
    """Refuse a teacher that is not better than guessing.

    Args:
        validation_outputs: of the teacher, shape [n, num_outputs].
        remedy: what it would be in another way; None if none is known that helps.

    Raises:
        TeacherError: if its outputs are guesses (`Head.knowledge`), which for classes does not
            depend on how frequent each is.
    """
    found = data.head.knowledge(validation_outputs, data.validation.labels)
    if not found.is_enough:
        advice = (
            f", but {remedy}"
            if remedy is not None
            else (
                "; check its weights, the order of its outputs and what it takes as input "
                "(--teacher-input), leave it out or go without a teacher (--method none)"
            )
        )
        level, question = "at chance level", ""
        if found.is_below_chance:
            level, question = "below chance", "; is the order of its classes that of the data?"
        raise TeacherError(
            f"teacher {teacher.name}: {found.what} {found.value:.3f} on validation is {level} "
            f"(needed {found.needed:.3f}){advice}{question}"
        )


def as_outputs(
    answers: NDArray[np.floating], head: Head, *, examples: int, teacher: str, is_own: bool = False
) -> NDArray[np.float32]:
    """Return a teacher's answers as float32 outputs of a head.

    Raises:
        TeacherError: if the shape is not [examples, outputs], with the height and width of maps
            behind it, or a value is not finite.
    """
    are_maps = head.kind.of_maps
    if answers.shape[:2] != (examples, head.size) or answers.ndim != (4 if are_maps else 2):
        sides = ", height, width" if are_maps else ""
        raise TeacherError(
            f"teacher {teacher}: outputs have shape {answers.shape}; the data has {head.size} "
            f"{head.kind.name}, so expected ({examples}, {head.size}{sides}); give a teacher of "
            f"these {head.kind.name}"
        )
    outputs = answers.astype(np.float32)
    if not np.isfinite(outputs).all():
        raise TeacherError(
            f"teacher {teacher}: outputs hold NaN or infinite values; "
            "check its weights and that it takes normalised inputs"
        )
    return outputs if is_own else head.of_teacher(outputs)
