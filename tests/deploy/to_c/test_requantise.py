"""Multipliers in C text against exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwkd.core.errors import ExportError
from hwkd.deploy.to_c.ir import QuantTensor
from hwkd.deploy.to_c.requantise import channel_fields, float_literal, q31_multiplier, sum_fields

SCALES = st.floats(1e-7, 0.9, allow_nan=False).map(np.float32)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@settings(max_examples=200, deadline=None)
def test_float_literals_read_back_the_same(value):
    text = float_literal(np.float32(value))
    assert text.endswith("f")
    assert np.float32(text[:-1]) == np.float32(value)


@given(SCALES)
@settings(max_examples=200, deadline=None)
def test_q31_multiplier_is_within_one_part_in_two_to_the_31(scale):
    multiplier, exponent = q31_multiplier(float(scale))
    assert 2**30 <= multiplier < 2**31
    exact = Fraction(multiplier) * Fraction(2) ** (exponent - 31)
    assert abs(exact - Fraction(float(scale))) <= Fraction(float(scale)) / 2**30


@given(SCALES, st.integers(-(2**17), 2**17))
@settings(max_examples=200, deadline=None)
def test_single_rounding_is_the_nearest_integer(scale, accumulator):
    multiplier, left, right = (
        int(part) for part in channel_fields(scale, "q31", largest=2**18).split(",")
    )
    high = (accumulator << left) * multiplier >> 32
    result = (high + (1 << (right - 2))) >> (right - 1)
    exact = Fraction(float(scale)) * accumulator
    assert abs(result - exact) <= Fraction(1, 2) + abs(exact) / 2**29


def test_scale_that_overflows_is_refused():
    with pytest.raises(ExportError, match="leaves 32 bits"):
        channel_fields(np.float32(3000.0), "q31", largest=2**24)


def tensor(name, scale, zero_point):
    return QuantTensor(name=name, shape=(1, 4), scale=np.float32(scale), zero_point=zero_point)


@given(
    st.floats(0.001, 2), st.floats(0.001, 2), st.floats(0.01, 2), st.integers(-128, 127),
    st.integers(-128, 127), st.integers(-128, 127), st.integers(-128, 127),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_fixed_point_sum_is_the_nearest_integer(first, second, out, zero, offset, a, b):
    one, two, three = tensor("a", first, zero), tensor("b", second, -3), tensor("y", out, offset)
    try:
        fields = sum_fields(one, two, three, "q31")
    except ExportError:
        assert max(one.scale, two.scale) / three.scale > 32
        return
    constant, *rest = fields.replace("INT64_C(", "").replace(")", "").split(", ")
    a_multiplier, b_multiplier, right = map(int, rest)
    total = int(constant) + 256 * a * a_multiplier + 256 * b * b_multiplier
    result = (total >> 32) >> right
    ratios = [np.float32(item.scale / three.scale) for item in (one, two)]
    exact = (a - zero) * float(ratios[0]) + (b + 3) * float(ratios[1]) + offset
    assert abs(result - exact) <= 0.5 + 1e-3
