"""TensorFlow Lite's integer arithmetic, as its reference kernels and TFLM's compute it.

Real multipliers are products and quotients in double precision; one becomes a 31-bit factor and a
power of two, and a product with it is rounded twice. Source: TensorFlow Lite's
`quantization_util.cc`, `internal/common.cc`, `reference/reduce.h`, `reference/integer_ops/add.h`
and `reference/hard_swish.h`; tests hold it against the `tflite-micro` interpreter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from hwkd.core.errors import ExportError
from hwkd.qgraph.ir import FullyConnected, QuantTensor
from hwkd.qgraph.tflite_sigmoid import sigmoid_steps

_Int64: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]
TableForm: TypeAlias = Literal[
    "limits", "quantize", "relu", "hard_swish", "hard_sigmoid", "sigmoid"
]

ADD_SHIFT = 20
_STEPS = np.arange(-128, 128)
# An 8-bit step shifted further left leaves 32 bits.
_MOST_LEFT = 22
_INT16 = (-(1 << 15), (1 << 15) - 1)


@dataclass(frozen=True, slots=True)
class Fixed:
    """A real factor: multiplier * 2^(exponent - 31), multiplier in [2^30, 2^31) or 0."""

    multiplier: int
    exponent: int


# Constants of a hard sigmoid, relu6(x + 3) / 6: both are exact as one int8 step times a scale.
THREE = QuantTensor(name="three", shape=(1,), scale=np.float32(3 / 64), zero_point=0)
SIXTH = QuantTensor(name="sixth", shape=(1,), scale=np.float32(1 / 6), zero_point=0)
THREE_STEPS = 64


def fixed_point(value: float) -> Fixed:
    """Return the factor nearest to a positive real number."""
    mantissa, exponent = np.frexp(value)
    multiplier = int(np.floor(float(mantissa) * 2**31 + 0.5))
    if multiplier == 2**31:
        multiplier, exponent = 2**30, exponent + 1
    return Fixed(multiplier, int(exponent))


def scaled(values: _Int64, factor: Fixed) -> _Int64:
    """Multiply integers by a factor, rounding twice: the product, then the right shift."""
    product = (values << max(factor.exponent, 0)) * factor.multiplier
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    high = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))
    return _shifted(high, max(-factor.exponent, 0))


def _shifted(values: _Int64, bits: int) -> _Int64:
    """Divide by 2^bits, halves away from zero."""
    mask = (1 << bits) - 1
    return np.asarray((values >> bits) + ((values & mask) > (mask >> 1) + (values < 0)))


def real_multipliers(
    op: object, weight_scales: Any, source: QuantTensor, target: QuantTensor
) -> list[float]:
    """Return what accumulators of each output channel are multiplied by.

    A fully connected layer with one scale multiplies the two scales in single precision first.
    """
    if isinstance(op, FullyConnected) and len(set(weight_scales)) == 1:
        product = float(np.float32(source.scale * weight_scales[0]))
        return [product / float(target.scale)] * len(weight_scales)
    return [float(source.scale) * float(item) / float(target.scale) for item in weight_scales]


def add_factors(
    first: QuantTensor, second: QuantTensor, output: QuantTensor
) -> tuple[Fixed, Fixed, Fixed]:
    """Return the factors of both operands, shifted left by `ADD_SHIFT`, and of their sum.

    Raises:
        ExportError: if the sum's scale is so small that TensorFlow Lite would stop.
    """
    twice = 2 * float(max(first.scale, second.scale))
    back = twice / ((1 << ADD_SHIFT) * float(output.scale))
    if back >= 1:
        raise ExportError(
            f"tensors {first.name} and {second.name} have scales {twice / 2:g}, their sum "
            f"{float(output.scale):g}; TensorFlow Lite takes at most 2^19 times; quantise again "
            "with more calibration samples"
        )
    one, two = (fixed_point(float(item.scale) / twice) for item in (first, second))
    return one, two, fixed_point(back)


def mean_factor(source: QuantTensor, target: QuantTensor, count: int) -> Fixed:
    """Return what the sum of `count` elements is multiplied by for their mean."""
    factor = fixed_point(float(source.scale) / float(target.scale))
    bits = min(count.bit_length() - 1, 32, 31 + factor.exponent)
    return Fixed((factor.multiplier << bits) // count, factor.exponent - bits)


def activation_limits(kind: Literal["relu", "relu6"], tensor: QuantTensor) -> tuple[int, int]:
    """Return the smallest and largest int8 value after a fused ReLU or ReLU6."""
    low = max(-128, tensor.zero_point)
    if kind == "relu":
        return low, 127
    six = np.floor(np.float32(6) / tensor.scale + np.float32(0.5))
    return low, min(127, tensor.zero_point + int(six))


def table_form(
    table: _Int8, source: QuantTensor, target: QuantTensor
) -> tuple[TableForm, _Int8] | None:
    """Name the operators that compute a table of 256 values to within one step.

    Returns:
        The form and the values that TensorFlow Lite gives; None if it has no such operator.
    """
    if _is_limits(table, source, target):
        return "limits", table
    forms: tuple[TableForm, ...] = ("quantize", "relu", "hard_swish", "hard_sigmoid", "sigmoid")
    for form in forms:
        values = _FORMS[form](source, target)
        if values is not None and np.abs(values.astype(int) - table).max() <= 1:
            return form, values
    return None


def _is_limits(table: _Int8, source: QuantTensor, target: QuantTensor) -> bool:
    """Whether the steps stay as they are within limits, one of which is inside the 8 bits."""
    return (
        (source.scale, source.zero_point) == (target.scale, target.zero_point)
        and (table[0] > -128 or table[-1] < 127)
        and np.array_equal(table, np.clip(_STEPS, table[0], table[-1]))
    )


def _rescaled(source: QuantTensor, target: QuantTensor) -> _Int64 | None:
    factor = fixed_point(float(source.scale) / float(target.scale))
    if factor.exponent > _MOST_LEFT:
        return None
    return scaled(_STEPS - source.zero_point, factor) + target.zero_point


def _quantize(source: QuantTensor, target: QuantTensor) -> _Int8 | None:
    rescaled = _rescaled(source, target)
    return None if rescaled is None else _int8(rescaled)


def _relu(source: QuantTensor, target: QuantTensor) -> _Int8 | None:
    rescaled = _rescaled(source, target)
    return None if rescaled is None else _int8(np.maximum(rescaled, target.zero_point))


def gate_tensor(target: QuantTensor) -> QuantTensor:
    """Return relu6(x + 3) on the way to a hard sigmoid: the same steps, six times the scale."""
    return QuantTensor(
        name=f"{target.name}/times_six",
        shape=target.shape,
        scale=np.float32(6 * target.scale),
        zero_point=target.zero_point,
    )


def _hard_sigmoid(source: QuantTensor, target: QuantTensor) -> _Int8 | None:
    middle = gate_tensor(target)
    try:
        one, two, back = add_factors(source, THREE, middle)
    except ExportError:
        return None
    x = scaled((_STEPS - source.zero_point) << ADD_SHIFT, one)
    three = scaled(np.array(THREE_STEPS << ADD_SHIFT), two)
    total = scaled(x + three, back) + middle.zero_point
    total = np.clip(total, *activation_limits("relu6", middle))
    product = fixed_point(float(middle.scale) * float(SIXTH.scale) / float(target.scale))
    return _int8(scaled(total - middle.zero_point, product) + target.zero_point)


def _sigmoid(source: QuantTensor, target: QuantTensor) -> _Int8 | None:
    if (target.scale, target.zero_point) != (np.float32(1 / 256), -128):
        return None
    return _int8(sigmoid_steps(_STEPS - source.zero_point, source))


def _hard_swish(source: QuantTensor, target: QuantTensor) -> _Int8 | None:
    """16-bit arithmetic: x times a gate in [0, 1], both with 7 bits more than the input has."""
    fine = np.float32(np.float32(1 / 128) * source.scale)
    output = fixed_point(float(np.float32(fine / target.scale)))
    gate = fixed_point(float(np.float32(fine / np.float32(np.float32(3) / np.float32(32768)))))
    if output.exponent > 0 or gate.exponent > _MOST_LEFT:
        return None
    x = np.asarray((_STEPS - source.zero_point) << 7)
    value = _rounded_high(x, _to_16_bits(output))
    opened = x
    if gate.exponent > 0:
        opened = np.clip(opened << (gate.exponent - 1), *_INT16)
    opened = _rounded_high(opened, _to_16_bits(gate))
    if gate.exponent > 0:
        opened = np.clip(opened << 1, *_INT16)
    elif gate.exponent < 0:
        opened = _shifted(opened, -gate.exponent)
    product = ((opened + (1 << 15)) >> 1) * value
    high = np.where(product >= 0, product >> 15, -(-product >> 15))
    return _int8(_shifted(high, -output.exponent) + target.zero_point)


def _to_16_bits(factor: Fixed) -> int:
    return min((factor.multiplier + (1 << 15)) >> 16, _INT16[1])


def _rounded_high(values: _Int64, multiplier: int) -> _Int64:
    """Return the high half of twice a 16-bit product, to nearest, halves away from zero."""
    product = values * multiplier
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.where(nudged >= 0, nudged >> 15, -(-nudged >> 15))


def _int8(values: _Int64) -> _Int8:
    return np.clip(values, -128, 127).astype(np.int8)


_FORMS = {
    "quantize": _quantize, "relu": _relu, "hard_swish": _hard_swish, "hard_sigmoid": _hard_sigmoid,
    "sigmoid": _sigmoid,
}  # fmt: skip
