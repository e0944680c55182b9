"""What a transposed convolution of int8 values may come to in float, in whatever order of sums.

ONNX Runtime has no int8 kernel for it: between quantise and dequantise it computes in floats (a
matrix product, then a sum of overlapping windows), where the C sums integers and rounds once. As
for averages (`hwkd.deploy.verify_average`), the interval here holds every float32 result.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from hwkd.deploy.verify_average import gamma, rounded_ends
from hwkd.qgraph.ir import ConvTranspose, QuantTensor

_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]
_Float64: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def transposed_in_any_order(
    op: ConvTranspose, values: _Int8, source: QuantTensor, target: QuantTensor
) -> tuple[_Int8, _Int8]:
    """Return the smallest and the largest int8 value that float32 arithmetic may give.

    Args:
        values: int8, shape [samples, channels, height, width].
        source: encoding of `values`.

    Returns:
        Two arrays of shape [samples, out channels, out height, out width]. They are equal but for
        elements whose exact value lies nearer to a tie than the error bound.

    Source:
        Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. 4.4.
    """
    steps = values.astype(np.float64) - source.zero_point  # sums of integers below 2^53 are exact
    weights = op.weights.astype(np.float64)
    if op.weight_zeros is not None:
        weights -= op.weight_zeros[:, None, None, None]
    size = (target.shape[-2], target.shape[-1])
    bias = op.bias.astype(np.float64)[:, None, None]
    scales = op.weight_scales.astype(np.float64) * float(source.scale) / float(target.scale)
    factor = np.broadcast_to(scales, len(op.bias))[:, None, None]
    exact = (_spread(op, steps, weights, size) + bias) * factor
    magnitudes = _spread(op, np.abs(steps), np.abs(weights), size) + np.abs(bias)
    # Each weight and each value is a rounded product with its scale, and the bias is one summand.
    bound = gamma(weights[0].size + 2)
    error = bound * (magnitudes * factor + abs(target.zero_point))
    return rounded_ends(exact, error, op.output_range, target.zero_point)


def _spread(
    op: ConvTranspose, steps: _Float64, weights: _Float64, size: tuple[int, int]
) -> _Float64:
    """Return the sums over the windows that the inputs are spread over, borders cut off."""
    rows, columns = steps.shape[2:]
    (down, right), (top, left) = op.stride, op.cut
    height, width = weights.shape[2:]
    spread = (
        max((rows - 1) * down + height, top + size[0]),
        max((columns - 1) * right + width, left + size[1]),
    )
    total = np.zeros((len(steps), len(weights), *spread))
    for y in range(height):
        for x in range(width):
            total[
                :, :,
                y : y + down * (rows - 1) + 1 : down,
                x : x + right * (columns - 1) + 1 : right,
            ] += np.einsum("nchw,oc->nohw", steps, weights[:, :, y, x], optimize=True)  # fmt: skip
    return total[:, :, top : top + size[0], left : left + size[1]]
