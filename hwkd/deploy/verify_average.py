"""What an average of int8 values may come to in float, whatever the order in which it is summed.

The C sums integers and rounds once; ONNX Runtime sums floats, and which order it takes depends on
the processor. No single value is therefore the right one near a tie. For each element the interval
here holds every float32 result, and what lies outside it is wrong in any order.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from hwkd.qgraph.ir import Pool, QuantTensor

_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]
_Int64: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
_Float64: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_UNIT_ROUNDOFF = 2.0**-24
# Roundings of a result besides those of its sum: each value times its scale, the reciprocals of
# count and scale or the divisions by them, the sum with the zero point.
_FURTHER_ROUNDINGS = 6


def averages_in_any_order(
    op: Pool, values: _Int8, source: QuantTensor, target: QuantTensor
) -> tuple[_Int8, _Int8]:
    """Return the smallest and the largest int8 value that float32 arithmetic may give.

    Args:
        values: int8, shape [samples, channels, height, width].
        source: encoding of `values`.

    Returns:
        Two arrays of shape [samples, channels, out height, out width]. They are equal but for
        elements whose exact average lies nearer to a tie than the error bound.

    Source:
        Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. 4.4: a sum of n values
        in any order is off by at most gamma(n - 1) times the sum of magnitudes.
    """
    steps = values.astype(np.int64) - source.zero_point
    top, left, bottom, right = op.pads
    borders = ((0, 0), (0, 0), (top, bottom), (left, right))
    sums = _windows(op, np.pad(steps, borders))
    magnitudes = _windows(op, np.pad(np.abs(steps), borders))
    taps = op.kernel[0] * op.kernel[1]
    inside = _windows(op, np.pad(np.ones_like(steps[:1, :1]), borders))
    counts = np.full_like(inside, taps) if op.counts_pads else inside
    factor = float(source.scale) / float(target.scale) / counts
    error = gamma(taps) * (magnitudes * factor + abs(target.zero_point))
    exact = sums * factor
    return rounded_ends(exact, error, op.output_range, target.zero_point)


def may_be_at_tie(op: Pool, source: QuantTensor, target: QuantTensor) -> bool:
    """Tell whether any int8 values give an average that two orders of summation round apart.

    Args:
        source: encoding of what is averaged.
    """
    taps = op.kernel[0] * op.kernel[1]
    largest = 255 * taps
    factors = float(source.scale) / float(target.scale) / np.arange(1, taps + 1)
    # Only a window over the edge has fewer values than taps, and only if it does not count them.
    if op.counts_pads or not any(op.pads):
        factors = factors[-1:]
    bound = gamma(taps)
    lowest, highest = (value - target.zero_point for value in op.output_range)
    for factor in factors:
        exact = np.arange(-largest, largest + 1) * factor
        error = bound * (largest * factor + abs(target.zero_point))
        inside = (exact > lowest - 1) & (exact < highest + 1)
        if (np.ceil(exact - error - 0.5) < np.floor(exact + error + 0.5))[inside].any():
            return True
    return False


def gamma(taps: int) -> float:
    """Return the relative error of a float32 sum of `taps` values and what is done with it."""
    roundings = taps - 1 + _FURTHER_ROUNDINGS
    return roundings * _UNIT_ROUNDOFF / (1 - roundings * _UNIT_ROUNDOFF)


def rounded_ends(
    exact: _Float64, error: _Float64, output_range: tuple[int, int], zero_point: int
) -> tuple[_Int8, _Int8]:
    """Return the smallest and the largest int8 value that rounding may give.

    Args:
        exact: in steps of the output, without its zero point.
        error: how far floats may be from it.
    """
    low, high = (
        np.asarray(np.clip(steps + zero_point, *output_range), dtype=np.int8)
        for steps in (np.ceil(exact - error - 0.5), np.floor(exact + error + 0.5))
    )
    return low, high


def _windows(op: Pool, padded: _Int64) -> _Int64:
    """Return the sum over each window."""
    rows, columns = (
        (size - taps) // step + 1
        for size, taps, step in zip(padded.shape[2:], op.kernel, op.stride, strict=True)
    )
    total = np.zeros((*padded.shape[:2], rows, columns), np.int64)
    for y in range(op.kernel[0]):
        for x in range(op.kernel[1]):
            total += padded[
                :, :,
                y : y + op.stride[0] * (rows - 1) + 1 : op.stride[0],
                x : x + op.stride[1] * (columns - 1) + 1 : op.stride[1],
            ]  # fmt: skip
    return total
