"""The sigmoid of TensorFlow Lite Micro, in its fixed point: sixteen steps of integers.

Source:
    tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h and gemmlowp's fixedpoint.h:
    exp by a polynomial on [-1/4, 0) and factors for each further bit, 1 / (1 + x) by Newton.
"""

from __future__ import annotations

from math import frexp
from typing import Any, TypeAlias

import numpy as np

from hwkd.qgraph.ir import QuantTensor

_Int64: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_INTEGER_BITS, _FRACTION_BITS = 4, 27
_LARGEST = 2**31 - 1
# exp(-2^n) for n = -2 to 3, of 2^31.
_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401)
_EXP_EIGHTH, _THIRD = 1895147668, 715827883  # exp(-1/8) and 1/3, of 2^31
_48_OVER_17, _32_OVER_17 = 1515870810, 1010580540  # of 2^29
_NEWTON_STEPS = 3
_OUTPUT_SHIFT = 23


def sigmoid_steps(steps: _Int64, source: QuantTensor) -> _Int64:
    """Return int8 values in steps of 1/256 from -128.

    Args:
        steps: of the input, without its zero point.
        source: encoding of the input.
    """
    mantissa, shift = frexp(float(source.scale) * 2**_FRACTION_BITS)
    multiplier = round(mantissa * 2**31)
    radius = ((1 << _INTEGER_BITS) - 1) * 2.0**_FRACTION_BITS / 2.0**shift
    inside = np.abs(steps) < int(radius)
    if shift > 0:
        x = _times(np.where(inside, steps, 0) << shift, np.int64(multiplier))
    else:
        x = _halved(_times(np.where(inside, steps, 0), np.int64(multiplier)), -shift)
    upper = _of_positive(np.abs(x))
    values = np.where(x > 0, upper, np.where(x < 0, _LARGEST - upper, 2**30))
    found = _halved(values, _OUTPUT_SHIFT) - 128
    return np.clip(np.where(inside, found, np.where(steps > 0, 127, -128)), -128, 127)


def _of_positive(x: _Int64) -> _Int64:
    """Return 1 / (1 + exp(-x)) of 2^31, for x of 2^27."""
    half = _halved(_exp(-x) + _LARGEST, 1)
    found = _48_OVER_17 + _times(half, np.int64(-_32_OVER_17))
    for _ in range(_NEWTON_STEPS):
        rest = 2**29 - _times(half, found)
        found = found + _saturated(_times(found, rest) << 2)
    return _saturated(found << 1)


def _exp(x: _Int64) -> _Int64:
    """Return exp(x) of 2^31, for x of 2^27 that is not positive."""
    quarter = 1 << (_FRACTION_BITS - 2)
    part = (x & (quarter - 1)) - quarter
    left = part - x
    found = _exp_below_quarter(_saturated(part << _INTEGER_BITS))
    for exponent, factor in enumerate(_POWERS, start=-2):
        has_bit = (left & (1 << (_FRACTION_BITS + exponent))) != 0
        found = np.where(has_bit, _times(found, np.int64(factor)), found)
    return np.where(x == 0, _LARGEST, found)


def _exp_below_quarter(x: _Int64) -> _Int64:
    """Return exp(x) of 2^31, for x of 2^31 in [-1/4, 0)."""
    x = x + (1 << 28)
    square = _times(x, x)
    cube, fourth = _times(square, x), _times(square, square)
    rest = _times(_halved(fourth, 2) + cube, np.int64(_THIRD)) + square
    return _saturated(_EXP_EIGHTH + _times(np.int64(_EXP_EIGHTH), x + _halved(rest, 1)))


def _times(a: _Int64 | np.int64, b: _Int64 | np.int64) -> _Int64:
    """Return the product of two numbers of 2^31, to nearest, halves away from zero."""
    product = np.asarray(a * b)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    return np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))


def _halved(values: _Int64, bits: int) -> _Int64:
    """Return values over 2^bits, to nearest, halves away from zero."""
    if not bits:
        return values
    mask = (1 << bits) - 1
    threshold = (mask >> 1) + (values < 0)
    return (values >> bits) + ((values & mask) > threshold)


def _saturated(values: _Int64) -> _Int64:
    return np.clip(values, -(2**31), _LARGEST)
