"""Integer arithmetic that C99 on any core and NumPy do alike; `c/hwkd_signal.h` is the same in C.

Logarithms and powers of two come from tables of 64 pieces, interpolated: within 0.0015 of the true
logarithm and 0.1% of the true power.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Steps of a logarithm to the base 2: 1/512.
LOG_BITS = 9
# Of the fraction of a power of two as `exp2` returns it.
POWER_BITS = 10
INT16_LOW, INT16_HIGH = -(2**15), 2**15 - 1
_PIECES = 64
_LOG_TABLE = np.array([round(32768 * math.log2(1 + i / _PIECES)) for i in range(_PIECES + 1)])
_POWER_TABLE = np.array([round(32768 * 2 ** (i / _PIECES)) for i in range(_PIECES + 1)])
_MOST_POWER = 20


def log_table() -> list[int]:
    """Return log2(1 + i / 64) in steps of 1/32768."""
    return [int(value) for value in _LOG_TABLE]


def power_table() -> list[int]:
    """Return 2^(i / 64) in steps of 1/32768."""
    return [int(value) for value in _POWER_TABLE]


def sine_table(size: int) -> NDArray[np.int64]:
    """Return a turn of the sine in steps of 1/32768, 1 as 32767; shape [size]."""
    turn = [round(32768 * math.sin(2 * math.pi * i / size)) for i in range(size)]
    return np.minimum(np.array(turn, np.int64), INT16_HIGH)


def saturate(values: NDArray[Any]) -> NDArray[np.int16]:
    """Return values within int16."""
    found: NDArray[np.int16] = np.clip(values, INT16_LOW, INT16_HIGH).astype(np.int16)
    return found


def log2(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the logarithm to the base 2 in steps of 1/512; 0 of values below 1.

    Args:
        values: up to 2^62, any shape.
    """
    whole = np.maximum(values, 1)
    # float64 rounds what has more than 53 bits, which may make it the next power of two.
    top = np.frexp(whole.astype(np.float64))[1].astype(np.int64) - 1
    top -= (whole >> top) == 0
    shift = 15 - top
    mantissa = np.where(shift >= 0, whole << np.maximum(shift, 0), whole >> np.maximum(-shift, 0))
    fraction = mantissa - 32768
    piece, rest = fraction >> 9, fraction & 511
    low = _LOG_TABLE[piece]
    found = low + (((_LOG_TABLE[piece + 1] - low) * rest) >> 9)
    result: NDArray[np.int64] = (top << LOG_BITS) + ((found + 32) >> 6)
    return result


def exp2(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 2^x in steps of 1/1024, at most 2^20.

    Args:
        values: x in steps of 1/512, within int32.
    """
    whole, fraction = values >> LOG_BITS, values & (2**LOG_BITS - 1)
    piece, rest = fraction >> 3, fraction & 7
    low = _POWER_TABLE[piece]
    found = low + (((_POWER_TABLE[piece + 1] - low) * rest) >> 3)
    up = np.clip(whole - 5, 0, _MOST_POWER)
    down = np.clip(5 - whole, 0, 31)
    powers = (found << up) >> down
    return np.where(whole >= _MOST_POWER, 1 << (_MOST_POWER + POWER_BITS), powers)


def square_root(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the square root, rounded down, of values from 0 to 2^50."""
    root = np.sqrt(values.astype(np.float64)).astype(np.int64)
    root -= root * root > values
    root += (root + 1) * (root + 1) <= values
    return root
