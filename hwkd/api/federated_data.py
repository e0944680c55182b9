"""Samples of a server or a client of a federated training, as its student takes them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hwkd.core.head import Head
    from hwkd.core.student import Layers


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSamples:
    """What a file holds.

    Attributes:
        inputs: prepared, shape [samples, *input_shape].
        targets: numbers of the classes, shape [samples].
        head: of the student.
    """

    inputs: "NDArray[np.float32]"
    targets: "NDArray[Any]"
    head: "Head"


def read_samples(student: Path, layers: "Layers", place: Path) -> ReadSamples:
    """Read samples with labels for a student.

    Raises:
        HwkdError: in one line, if they do not fit it, are fewer than two or have no classes.
    """
    from hwkd.api.subject import subject_of
    from hwkd.core.errors import DataError

    subject = subject_of(student)
    given = subject.task.labelled(place, subject.reading, raw_shape=subject.raw_shape)
    subject.require_like_training(given.inputs, where=str(place))
    prepared = subject.prepare(given.inputs)
    head = subject.head(given.labels, layers.layers[-1].shape[0])
    if not head.kind.of_classes or len(prepared) < 2:
        raise DataError(f"{place}: {len(prepared)} samples; give two or more with classes")
    return ReadSamples(inputs=prepared, targets=head.targets(given.labels, prepared), head=head)
