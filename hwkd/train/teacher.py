"""What a teacher is, and the checks that every teacher passes before anything learns from it."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.train.accuracy import (
    accuracy_ratio,
    balanced_accuracy_ratio,
    least_knowledge_ratio,
)
from hwkd.train.dataset import Dataset

__all__ = ["Teacher", "TeacherKind", "accuracy_ratio", "as_logits", "require_knowledge"]

TeacherKind: TypeAlias = Literal["trained here", "onnx", "factory"]


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
        """Number of classes."""
        ...

    @property
    def is_from_cache(self) -> bool:
        """Whether an earlier run trained it."""
        ...

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return outputs before softmax, shape [n, num_outputs].

        Args:
            inputs: normalised like the train split, shape [n, *input_shape].
        """
        ...


def require_knowledge(
    teacher: Teacher, data: Dataset, *, validation_logits: NDArray[np.float32]
) -> float:
    """Return the teacher's validation accuracy, 0 to 1, if it is better than guessing.

    Args:
        teacher: for the message.
        data: for the labels.
        validation_logits: of the teacher, shape [n, num_outputs].

    Raises:
        TeacherError: if its balanced accuracy is not three standard deviations above chance, so
            that one class of nine in ten examples neither helps nor harms it.
    """
    labels = data.validation.labels
    balanced = balanced_accuracy_ratio(validation_logits, labels)
    needed = least_knowledge_ratio(labels)
    if balanced < needed:
        raise TeacherError(
            f"teacher {teacher.name}: balanced validation accuracy {balanced:.3f} is at chance "
            f"level (needed {needed:.3f}, the mean over the classes of the share that is right); "
            "check its weights, its class order and that it takes inputs normalised like the "
            "train split, or go without a teacher (--method none)"
        )
    return accuracy_ratio(validation_logits, labels)


def as_logits(
    outputs: NDArray[np.floating], *, examples: int, num_outputs: int, teacher: str
) -> NDArray[np.float32]:
    """Return a teacher's outputs as float32 logits; probabilities become their logarithms.

    Raises:
        TeacherError: if the shape is not [examples, num_outputs] or a value is not finite.
    """
    if outputs.shape != (examples, num_outputs):
        raise TeacherError(
            f"teacher {teacher}: outputs have shape {outputs.shape}; the data has {num_outputs} "
            f"classes, so expected ({examples}, {num_outputs}); give a teacher of these classes"
        )
    logits = outputs.astype(np.float32)
    if not np.isfinite(logits).all():
        raise TeacherError(
            f"teacher {teacher}: outputs hold NaN or infinite values; "
            "check its weights and that it takes normalised inputs"
        )
    if (logits >= 0).all() and np.allclose(logits.sum(axis=1), 1.0, atol=1e-3):
        # The network ends in a softmax; the smallest normal half-precision number is the floor
        # because the logit cache holds float16.
        return np.log(np.maximum(logits, np.float32(6.1e-5)))
    return logits
