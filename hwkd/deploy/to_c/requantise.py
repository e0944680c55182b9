"""Real multipliers as the fields of `hwkd_channel` and `hwkd_sum`, for each kind of rounding."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from hwkd.core.errors import ExportError
from hwkd.deploy.to_c.ir import QuantTensor

__all__ = [
    "ROUNDINGS",
    "Rounding",
    "channel_fields",
    "float_literal",
    "q31_multiplier",
    "sum_fields",
]

Rounding: TypeAlias = Literal["float", "q31", "tflite"]
ROUNDINGS: tuple[Rounding, ...] = ("float", "q31", "tflite")

_Q31 = 31
# The 64-bit product is shifted by its high word: at least 32 bits plus one for the rounding.
_Q31_MIN_RIGHT = 2
_INT32_MAX = 2**31 - 1


def float_literal(value: np.float32) -> str:
    """Return a C literal that reads back as the same float32."""
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return f"{text}f"


def channel_fields(scale: np.float32, rounding: Rounding, *, largest: int) -> str:
    """Return the initialiser of a channel without its bias.

    Args:
        scale: input scale times weight scale over output scale, > 0.
        rounding: of the accumulator.
        largest: bound on the accumulator's magnitude.

    Raises:
        ExportError: if fixed-point rounding would leave 32 bits.
    """
    if rounding == "float":
        return float_literal(scale)
    multiplier, exponent = q31_multiplier(float(scale))
    minimum = _Q31_MIN_RIGHT if rounding == "q31" else 0
    left = max(0, minimum + exponent)
    right = left - exponent
    if right >= _Q31:  # below half a step whatever the accumulator: the result is zero
        multiplier, left, right = 0, 0, _Q31 - 1
    if (largest << left) > _INT32_MAX:
        raise ExportError(
            f"scale {scale} times accumulator {largest} leaves 32 bits: a tensor is almost "
            "constant; use rounding `float`, or calibrate with other samples"
        )
    return f"{multiplier}, {left}, {right}"


def sum_fields(
    first: QuantTensor, second: QuantTensor, output: QuantTensor, rounding: Rounding
) -> str:
    """Return the initialiser of `hwkd_sum` for first + second -> output."""
    first_scale = np.float32(first.scale / output.scale)
    second_scale = np.float32(second.scale / output.scale)
    zeros = np.float32(
        first_scale * np.float32(first.zero_point) + second_scale * np.float32(second.zero_point)
    )
    if rounding == "float":
        offset = np.float32(np.float32(output.zero_point) - zeros)
        return ", ".join(float_literal(value) for value in (first_scale, second_scale, offset))
    # Multipliers fit 31 bits, and the sum stays below 2^30 in the high word.
    largest = max(float(first_scale), float(second_scale))
    span = 256.0 * (float(first_scale) + float(second_scale)) + 512.0
    right = min(6 - int(np.ceil(np.log2(largest))), 30 - int(np.ceil(np.log2(span))))
    if right < 0:
        raise ExportError(
            f"tensors {first.name} and {second.name} have scales {largest} times their sum's; "
            "quantise again with more calibration samples"
        )
    unit = 2.0 ** (32 + right)
    offset_real = (
        output.zero_point
        - float(first_scale) * first.zero_point
        - float(second_scale) * second.zero_point
        + 0.5
    )
    return (
        f"INT64_C({round(offset_real * unit)}), {round(float(first_scale) * unit / 256)}, "
        f"{round(float(second_scale) * unit / 256)}, {right}"
    )


def q31_multiplier(scale: float) -> tuple[int, int]:
    """Return (multiplier in [2^30, 2^31), exponent): scale = multiplier * 2^(exponent - 31)."""
    mantissa, exponent = np.frexp(scale)
    multiplier = round(float(mantissa) * 2**_Q31)
    if multiplier == 2**_Q31:
        multiplier, exponent = multiplier // 2, exponent + 1
    return multiplier, int(exponent)
