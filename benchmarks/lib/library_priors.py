"""Where fits of libraries start whose kernels cost otherwise than `hwkd.cost.fit.prior.GENERIC`."""

from __future__ import annotations

from hwkd.cost.fit.design import Array, as_vector

# STMicroelectronics' closed library: published times need a term for weights that do not stay in a
# cache, cheaper columns and dearer depthwise convolutions and averages.
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
HELIUM_CORE: Array = as_vector(
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
