"""Texts that a student reads worst, for people who look at what it gets wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from hwkd.core.decision_record import ReadTextRecord
from hwkd.core.printable import printable
from hwkd.signals.texts import as_text
from hwkd.tasks.base import TaskData

_SHOWN, _LETTERS = 10, 240


def worst_texts(data: TaskData, outputs: NDArray[np.float32]) -> tuple[ReadTextRecord, ...]:
    """Return the texts of test whose class is least likely to a network; none without texts.

    Args:
        outputs: of the network for the test split, shape [n, classes].
    """
    if data.texts is None:
        return ()
    labels = data.test.labels
    chances = softmax(outputs.astype(np.float64), axis=1)
    named = data.head.targets(data.head.answers(outputs, data.test.inputs), data.test.inputs)
    own = chances[np.arange(len(labels)), labels]
    return tuple(
        ReadTextRecord(
            text=_beginning(as_text(data.texts["test"][at, 0])),
            label=int(labels[at]),
            named=int(named[at]),
            chance=float(own[at]),
        )
        for at in np.argsort(own, kind="stable")[:_SHOWN]
    )


def _beginning(text: str) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= _LETTERS else f"{line[:_LETTERS]} ..."
