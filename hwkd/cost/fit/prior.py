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

# The same for STMicroelectronics' closed library: published times need a term for weights that do
# not stay in a cache, cheaper columns and dearer depthwise convolutions and averages.
ST_LIBRARY: Array = as_vector(
    {
        "pointwise": {
            "mac": 0.9, "remainder": 2, "output": 12, "weight": 2, "streamed_mac": 0.8,
            "call": 3000,
        },
        "conv": {
            "mac": 1.4, "remainder": 2, "output": 12, "column": 1.5, "column_remainder": 3,
            "padded_column": 0.75, "weight": 2, "streamed_mac": 0.8, "call": 3000,
        },
        "depthwise": {"mac": 9, "output": 60, "call": 3000},
        "dense": {"mac": 1.4, "output": 30, "call": 2000},
        "matmul": {"mac": 2.0, "output": 30, "call": 2000},
        "elementwise": {"output": 20, "call": 1500},
        "activation": {"output": 15, "call": 1000},
        "pool": {"tap": 5, "output": 20, "call": 1500},
        "mean": {"tap": 30, "output": 100, "call": 1500},
        "softmax": {"output": 300, "call": 1500},
        "copy": {"output": 3, "call": 300},
    }
)  # fmt: skip

# The same for vector kernels of a Cortex-M55, counted and not timed: CMSIS-NN's inner loops at two
# cycles for each vector instruction, one where loads and multiplications take turns. A product of
# matrices takes ten instructions for 64 multiplications, four outputs about 60 cycles to scale and
# to scatter, a copied tap a loop of its own (arm_nn_mat_mult_nt_t_s8.c, arm_convolve_s8.c,
# arm_depthwise_conv_s8_opt.c; Arm's Cortex-M55 software optimization guide).
HELIUM: Array = as_vector(
    {
        "pointwise": {
            "mac": 0.165, "block_of_4": 0.3, "remainder": 0.3, "output": 15, "weight": 0.5,
            "call": 800,
        },
        "conv": {
            "mac": 0.165, "remainder": 0.3, "output": 15, "pixel": 20, "tap": 22,
            "padded_tap": 20, "column": 0.25, "padded_column": 0.25, "weight": 0.5, "call": 800,
        },
        "depthwise": {"mac": 1.3, "output": 7, "call": 800},
        "dense": {"mac": 0.25, "output": 25, "call": 800},
        "matmul": {"mac": 0.2, "output": 20, "call": 1000},
        "elementwise": {"output": 10, "call": 500},
        "activation": {"output": 8, "call": 300},
        "pool": {"tap": 0.6, "output": 12, "call": 500},
        "mean": {"tap": 0.6, "output": 20, "call": 500},
        "softmax": {"output": 60, "call": 1000},
        "copy": {"output": 0.3, "call": 300},
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
