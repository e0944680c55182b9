"""Standardised features in whole steps to int8, exactly as ONNX Runtime quantises them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwkd.qgraph.ir import QuantTensor

# What `put` is given: steps of 1/256, within int16.
_UNIT = 256
_BITS = 40
_ALL = np.arange(-(2**15), 2**15)


def whole_quantiser(target: QuantTensor) -> str:
    """Return `static int8_t quantised(int32_t steps)` in C, without floats.

    One product and a shift, if a factor gives what float32 arithmetic gives for every one of the
    65,536 steps; else, where values fall on ties, a table of where int8 values begin.

    Args:
        target: the network's input.
    """
    expected = _reference(target)
    factor = round(2**_BITS / (_UNIT * float(target.scale)))
    middle = (target.zero_point << _BITS) + (1 << (_BITS - 1))
    # float32 rounds a quotient by up to 2^-18: a tie that it misses moves back by as much.
    for nudge in (0, 1, -1, 2, -2) if factor < 2**46 else ():
        offset = middle + nudge * 2 ** (_BITS - 19)
        found = np.clip((_ALL * factor + offset) >> _BITS, -128, 127)
        if np.array_equal(found, expected):
            return f"""static int8_t quantised(int32_t steps)
{{
    const int64_t q = ((int64_t)steps * {factor} + {offset}) >> {_BITS};
    return (int8_t)(q < -128 ? -128 : q > 127 ? 127 : q);
}}
"""
    starts = np.searchsorted(expected, np.arange(-127, int(expected.max()) + 1)) - 2**15
    numbers = ", ".join(str(int(one)) for one in starts)
    return f"""/* Where each value after the lowest begins. */
static int8_t quantised(int32_t steps)
{{
    static const int16_t starts[{len(starts)}] = {{{numbers}}};
    int32_t low = 0, high = {len(starts)};
    while (low < high) {{
        const int32_t middle = (low + high) / 2;
        if (steps >= starts[middle])
            low = middle + 1;
        else
            high = middle;
    }}
    return (int8_t)(low - 128);
}}
"""


def _reference(target: QuantTensor) -> np.ndarray[Any, np.dtype[np.int64]]:
    values = _ALL.astype(np.float32) / np.float32(_UNIT)
    steps = np.rint(values / np.float32(target.scale)) + np.float32(target.zero_point)
    found: np.ndarray[Any, np.dtype[np.int64]] = np.clip(steps, -128, 127).astype(np.int64)
    return found
