"""Real multipliers as the fields of `hwkd_channel` and `hwkd_sum`, for each kind of rounding."""

from __future__ import annotations

import numpy as np

from hwkd.core.c_literal import float_literal
from hwkd.core.core_file import Rounding
from hwkd.core.errors import ExportError
from hwkd.qgraph.ir import Pool, QuantTensor, Weighted
from hwkd.qgraph.tflite_rounding import add_factors, mean_factor, real_multipliers

__all__ = [
    "ROUNDINGS",
    "Rounding",
    "accumulator_scales",
    "channel_fields",
    "fixed_fields",
    "pool_rows",
    "product_fields",
    "q31_multiplier",
    "sum_fields",
]

ROUNDINGS: tuple[Rounding, ...] = ("float", "q31", "tflite")

_Q31 = 31
# The 64-bit product is shifted by its high word: at least 32 bits plus one for the rounding.
_Q31_MIN_RIGHT = 2
_INT32_MAX = 2**31 - 1
# Of an int8 value without its zero point.
_LARGEST_STEP = 255


def accumulator_scales(
    op: Weighted, source: QuantTensor, target: QuantTensor, rounding: Rounding
) -> list[float]:
    """Return what each output channel's accumulator is multiplied by, as the rounding's peer does.

    ONNX Runtime computes it in single precision, TensorFlow Lite in double.
    """
    if rounding == "tflite":
        return real_multipliers(op, op.weight_scales, source, target)
    scales = (source.scale * op.weight_scales).astype(np.float32) / target.scale
    return [float(scale) for scale in scales]


def channel_fields(scale: float, rounding: Rounding, *, largest: int) -> str:
    """Return the initialiser of a channel without its bias.

    Args:
        scale: input scale times weight scale over output scale, > 0.
        largest: bound on the accumulator's magnitude.

    Raises:
        ExportError: if fixed-point rounding would leave 32 bits.
    """
    if rounding == "float":
        return float_literal(np.float32(scale))
    multiplier, exponent = q31_multiplier(scale)
    return fixed_fields(multiplier, exponent, rounding, largest=largest)


def fixed_fields(multiplier: int, exponent: int, rounding: Rounding, *, largest: int) -> str:
    """Return the initialiser of a channel whose scale is multiplier * 2^(exponent - 31).

    Raises:
        ExportError: if fixed-point rounding would leave 32 bits.
    """
    minimum = _Q31_MIN_RIGHT if rounding == "q31" else 0
    left = max(0, minimum + exponent)
    right = left - exponent
    if right >= _Q31:  # below half a step whatever the accumulator: the result is zero
        multiplier, left, right = 0, 0, _Q31 - 1
    if (largest << left) > _INT32_MAX:
        scale = multiplier * 2.0 ** (exponent - _Q31)
        raise ExportError(
            f"scale {scale:g} times accumulator {largest} leaves 32 bits: a tensor is almost "
            "constant; use rounding `float`, or calibrate with other samples"
        )
    return f"{multiplier}, {left}, {right}"


def sum_fields(
    first: QuantTensor, second: QuantTensor, output: QuantTensor, rounding: Rounding
) -> str:
    """Return the initialiser of `hwkd_sum` for first + second -> output.

    Raises:
        ExportError: if fixed-point rounding would leave its bits.
    """
    if rounding == "tflite":
        zeros = [item.zero_point for item in (first, second, output)]
        factors = add_factors(first, second, output)
        pairs = [f"{factor.multiplier}, {-factor.exponent}" for factor in factors]
        return ", ".join([*map(str, zeros), *pairs])
    first_scale = np.float32(first.scale / output.scale)
    second_scale = np.float32(second.scale / output.scale)
    if rounding == "float":
        # ONNX Runtime fuses the first product into the sum: it is not rounded by itself.
        second_part = float(second_scale * np.float32(second.zero_point))
        zero_points = np.float32(float(first_scale) * first.zero_point + second_part)
        offset = np.float32(output.zero_point) - zero_points
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


def product_fields(
    first: QuantTensor,
    second: QuantTensor,
    target: QuantTensor,
    rounding: Rounding,
    *,
    terms: int,
) -> str:
    """Return the initialiser of a channel for sums of products of two tensors, bias 0."""
    if rounding != "tflite":
        scale = float(np.float32(first.scale * second.scale) / target.scale)
    else:
        scale = float(first.scale) * float(second.scale) / float(target.scale)
    return f"0, {channel_fields(scale, rounding, largest=terms * _LARGEST_STEP**2)}"


def pool_rows(
    op: Pool, source: QuantTensor, target: QuantTensor, rounding: Rounding
) -> tuple[list[str], int]:
    """Return initialisers of channels for the sums of a pooling, and the first one's elements.

    There is one for each number of elements in a window, the smallest first. A maximum has none,
    nor has an average of TensorFlow Lite between equal scales, which divides integers.
    """
    window = op.kernel[0] * op.kernel[1]
    is_plain = (source.scale, source.zero_point) == (target.scale, target.zero_point)
    if op.kind == "max" or (rounding == "tflite" and op.kind == "average" and is_plain):
        return [], 1
    if rounding == "tflite" and op.kind == "global_average":
        factor = mean_factor(source, target, window)
        largest = window * _LARGEST_STEP
        fields = fixed_fields(factor.multiplier, factor.exponent, rounding, largest=largest)
        return [f"0, {fields}"], window
    is_cut = any(op.pads) and not op.counts_pads
    counts = range(1, window + 1) if is_cut else range(window, window + 1)
    rows = []
    for count in counts:
        scale = np.float32(source.scale / np.float32(target.scale * np.float32(count)))
        fields = channel_fields(float(scale), rounding, largest=count * _LARGEST_STEP)
        rows.append(f"0, {fields}")
    return rows, counts[0]


def q31_multiplier(scale: float) -> tuple[int, int]:
    """Return (multiplier in [2^30, 2^31), exponent): scale = multiplier * 2^(exponent - 31)."""
    mantissa, exponent = np.frexp(scale)
    multiplier = round(float(mantissa) * 2**_Q31)
    if multiplier == 2**_Q31:
        multiplier, exponent = multiplier // 2, exponent + 1
    return multiplier, int(exponent)
