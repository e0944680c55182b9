"""Which training inputs set the int8 ranges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwkd.tasks.base import TaskData
from hwkd.train.seeding import derive_seed

_CALIBRATION_SAMPLES = 256


def calibration_inputs(data: TaskData, seed: int) -> NDArray[np.float32]:
    """Return the inputs that set the int8 ranges: a part of train that a search's seed fixes."""
    order = np.random.default_rng(derive_seed(seed, "calibration")).permutation(len(data.train))
    return np.ascontiguousarray(data.train.inputs[np.sort(order[:_CALIBRATION_SAMPLES])])
