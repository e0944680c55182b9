"""Where a fit starts: what kernels cost on a core with DSP instructions, and the average of stacks.

Only ratios between the numbers matter, as the fit scales them all. They are rounded averages of the
published fits (benchmarks/facts), written down once so that a fit of few rows is reproducible; what
channels that are no multiple of four cost is that of operators on NUCLEO-F446RE.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwkd.cost.fit.design import COLUMNS, Array, as_vector

# Cycles per unit on a Cortex-M4 with int8 kernels.
GENERIC: Array = as_vector(
    {
        "pointwise": {
            "mac": 1.2, "block_of_16": 4, "block_of_4": 3, "remainder": 3, "output": 12,
            "weight": 6, "call": 1500,
        },
        "conv": {
            "mac": 1.8, "block_of_4": 2, "remainder": 6, "output": 12, "pixel": 40, "tap": 10,
            "padded_tap": 4, "column": 2, "column_remainder": 15, "padded_column": 1, "weight": 2,
            "call": 1500,
        },
        "depthwise": {"mac": 8, "output": 30, "call": 2000},
        "dense": {"mac": 2.3, "output": 30, "call": 1000},
        "matmul": {"mac": 2.5, "output": 30, "call": 1500},
        "elementwise": {"output": 25, "call": 1500},
        "activation": {"output": 15, "call": 1000},
        "pool": {"tap": 6, "output": 25, "call": 1500},
        "mean": {"tap": 6, "output": 25, "call": 1500},
        "softmax": {"output": 300, "call": 1500},
        "copy": {"output": 3, "call": 300},
    }
)  # fmt: skip

# Stacks whose prediction of the measured model is this close (as a logarithm) count most.
_LIKENESS = 0.15
# A stack on the same core counts this many times one on another core.
_SAME_CORE = 10.0
# A fully connected layer reads every weight once: it follows the memory more than the kernels, so
# half of a stack's speed is taken to reach it. Over all MLPerf Tiny stacks 0 and 1 predict slightly
# worse (8.6 and 8.7% against 8.5%); the M4 alone prefers 0, the M7 1.
_DENSE_FOLLOWS = 0.5
_FOLLOWS: Array = np.array([_DENSE_FOLLOWS if name == "dense" else 1.0 for name, _ in COLUMNS])


def typical_stack(
    known: Sequence[Array], same_core: Sequence[bool], work: Array, cycles: float
) -> Array:
    """Return the average of known stacks, those as fast as the new one counting most.

    Args:
        known: cycles per unit of stacks that were fitted.
        same_core: for each of them, whether it ran on the core in question.
        work: amounts of one model that was measured on the new stack.

    Returns:
        Geometric mean of the stacks, each scaled to reproduce the measured model.
    """
    logs = np.array([np.log(np.maximum(stack, 1e-12)) for stack in known])
    distance = np.log([float(work @ stack) / cycles for stack in known])
    weight = np.exp(-0.5 * (distance / _LIKENESS) ** 2) + 1e-6
    weight = weight * np.where(same_core, _SAME_CORE, 1.0)
    mean = np.average(logs - distance[:, None] * _FOLLOWS, axis=0, weights=weight)
    return np.where(np.min(known, axis=0) > 0, np.exp(mean), 0.0)
