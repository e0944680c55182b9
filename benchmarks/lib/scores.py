"""The score of classification benchmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwkd.tasks.classes_head import ClassesHead


def accuracy_ratio(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the share of examples whose largest output is the label, 0 to 1."""
    return ClassesHead.numbered(outputs.shape[1]).scores(outputs, labels)["accuracy"]
