"""What a layer normalisation of int8 values may come to in float, whatever order it is summed in.

The C sums integers exactly; ONNX Runtime sums floats and takes the variance as the mean of squares
less the square of the mean, in an order that depends on the processor. As for averages
(`hwkd.deploy.verify_average`), the interval here holds every float32 result.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from hwkd.deploy.verify_average import gamma
from hwkd.qgraph.ir import LayerNorm, QuantTensor

_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]

# Roundings of our variance and of its root, besides those of an average.
_OF_ROOT = 6


def norms_in_any_order(
    op: LayerNorm, values: _Int8, source: QuantTensor, target: QuantTensor
) -> tuple[_Int8, _Int8]:
    """Return the smallest and the largest int8 value that float32 arithmetic may give.

    Args:
        values: int8, shape [samples, *shape of the source].
        source: encoding of `values`.

    Returns:
        Two arrays of the same shape as `values`. They are equal but for elements whose exact value
        lies nearer to a tie than the error bound.

    Source:
        Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. 4.4, for both sums.
    """
    rows = (values.astype(np.float64) - source.zero_point) * float(source.scale)
    rows = rows.reshape(-1, op.scales.size)
    mean, squares = rows.mean(1, keepdims=True), np.square(rows).mean(1, keepdims=True)
    spread = np.maximum(squares - mean**2, 0.0) + op.epsilon
    normal = (rows - mean) / np.sqrt(spread)
    exact = (normal * op.scales + op.shifts) / float(target.scale)
    bound = gamma(op.scales.size + _OF_ROOT)
    # The variance is off by the error of two sums as large as the squares; half of it, relatively,
    # is that of its root. The mean is off by that of one sum.
    of_root = np.abs(normal) * bound * (1 + 2 * squares / spread)
    of_mean = bound * np.abs(rows).mean(1, keepdims=True) / np.sqrt(spread)
    error = (of_root + of_mean) * np.abs(op.scales) + bound * np.abs(op.shifts)
    error = error / float(target.scale) + bound * (np.abs(exact) + abs(target.zero_point))
    low, high = np.ceil(exact - error - 0.5), np.floor(exact + error + 0.5)
    as_int8 = [
        np.clip(steps + target.zero_point, -128, 127).astype(np.int8).reshape(values.shape)
        for steps in (low, high)
    ]
    return as_int8[0], as_int8[1]
