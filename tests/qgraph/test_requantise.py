"""Multipliers in C text against exact arithmetic."""

from fractions import Fraction

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hwkd.core.c_literal import float_literal
from hwkd.core.errors import ExportError
from hwkd.qgraph.ir import QuantTensor
from hwkd.qgraph.requantise import (
    channel_fields,
    product_fields,
    q31_multiplier,
    sum_fields,
)

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


def test_tflm_multiplies_the_scales_of_matrices_in_double_precision():
    """TFLM's interpreter gives 152 for this sum, LiteRT's with a single-precision product 151."""
    first, second = tensor("a", 0.34827211, -1), tensor("b", 0.022457369, -128)
    fields = product_fields(first, second, tensor("y", 1.7715774, -26), "tflite", terms=8)
    bias, multiplier, left, right = map(int, fields.split(", "))
    assert (bias, left) == (0, 0)
    product = (34315 * multiplier + (1 << 30)) >> 31
    assert (product + (1 << (right - 1))) >> right == 152


# Drawn scales for which the last bit of the constant decides a value.
@pytest.mark.parametrize("seed", [0, 25, 83, 156, 183, 203])
def test_float_sum_is_onnx_runtimes_for_every_pair_of_values(seed):
    random = np.random.default_rng(seed)
    scales = random.uniform(0.01, 0.1, 2)
    one, two = (
        tensor(n, s, int(random.integers(-128, 128))) for n, s in zip("ab", scales, strict=True)
    )
    three = tensor("y", scales.sum() * random.uniform(0.3, 1.4), int(random.integers(-128, 128)))
    a, b = (grid.ravel().astype(np.int8) for grid in np.meshgrid(*[np.arange(-128, 128)] * 2))
    fields = sum_fields(one, two, three, "float").split(", ")
    a_scale, b_scale, offset = (float(np.float32(field.removesuffix("f"))) for field in fields)
    inner = np.float32(b * b_scale + offset)
    steps = np.rint(np.float32(a * a_scale + inner.astype(np.float64)))
    assert np.array_equal(
        np.clip(steps, -128, 127).astype(np.int8), onnx_sum(one, two, three, a, b)
    )


def onnx_sum(one, two, three, a, b):
    """Return int8 a + b as ONNX Runtime computes it."""
    constants, nodes = [], []
    for name, item in (("a", one), ("b", two), ("y", three)):
        constants.append(helper.make_tensor(f"{name}_scale", TensorProto.FLOAT, [], [item.scale]))
        constants.append(
            helper.make_tensor(f"{name}_zero", TensorProto.INT8, [], [item.zero_point])
        )
    for name in "ab":
        inputs = [name, f"{name}_scale", f"{name}_zero"]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_float"]))
    nodes.append(helper.make_node("Add", ["a_float", "b_float"], ["sum"]))
    nodes.append(helper.make_node("QuantizeLinear", ["sum", "y_scale", "y_zero"], ["y"]))
    a_info, b_info, y_info = (
        helper.make_tensor_value_info(name, TensorProto.INT8, [1, len(a)]) for name in "aby"
    )
    graph = helper.make_graph(nodes, "sum", [a_info, b_info], [y_info], constants)
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"a": a[None], "b": b[None]})[0][0]
