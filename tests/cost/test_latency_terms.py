"""Amounts of work against closed forms and brute force."""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from hwkd.core.device import WORK
from hwkd.core.graph import Op, Tensor
from hwkd.cost.latency_terms import op_work


def amounts(op: Op, *shapes: tuple[int, ...]) -> dict[str, Any]:
    names = (*op.inputs, *op.outputs)
    tensors = {n: Tensor(name=n, shape=s) for n, s in zip(names, shapes, strict=True)}
    work = op_work(op, tensors)
    assert work is not None
    return dict(zip(WORK[work.op_class], work.amounts, strict=True)) | {"class": work.op_class}


def conv(inputs: int, outputs: int, size: int, **options: Any) -> Op:
    kernel = options.get("kernel", (1, 1))
    groups = options.get("groups", 1)
    depth = kernel[0] * kernel[1] * inputs // groups
    return Op(
        name="c", kind="Conv", inputs=("x",), outputs=("y",), macs=depth * outputs * size,
        weights=depth * outputs, **options,
    )  # fmt: skip


def test_pointwise_splits_its_depth_into_blocks_of_16_and_4_and_a_rest() -> None:
    # Depth 23 = 16 + 4 + 3 for each of 5 x 6 outputs.
    found = amounts(conv(23, 5, 6), (1, 23, 2, 3), (1, 5, 2, 3))
    assert found["class"] == "pointwise"
    assert (found["block_of_16"], found["block_of_4"], found["remainder"]) == (30, 30, 90)
    assert (found["output"], found["weight"], found["call"]) == (30, 115, 1)


def test_a_strided_1x1_convolution_copies_columns() -> None:
    found = amounts(conv(8, 4, 4, stride=(2, 2)), (1, 8, 4, 4), (1, 4, 2, 2))
    assert found["class"] == "conv"
    assert found["column"] == 32


def test_every_product_is_in_exactly_one_block() -> None:
    for depth in range(1, 40):
        found = amounts(conv(depth, 1, 1), (1, depth, 1, 1), (1, 1, 1, 1))
        blocks = 16 * found["block_of_16"] + 4 * found["block_of_4"] + found["remainder"]
        assert blocks == found["mac"] == depth


@given(
    size=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
)
def test_taps_on_padding_equal_a_count_position_by_position(size, kernel, stride, pads) -> None:
    # The window tiles the padded image exactly, as it does after "same" padding.
    padded = (size[0] + pads[0] + pads[2], size[1] + pads[1] + pads[3])
    outputs = [(p - k) // s + 1 for p, k, s in zip(padded, kernel, stride, strict=True)]
    slack = [
        p - k - (o - 1) * s for p, k, o, s in zip(padded, kernel, outputs, stride, strict=True)
    ]
    pads = (pads[0], pads[1], max(pads[2] - slack[0], 0), max(pads[3] - slack[1], 0))
    inside = sum(
        0 <= r * stride[0] + i - pads[0] < size[0] and 0 <= c * stride[1] + j - pads[1] < size[1]
        for r, c, i, j in product(*map(range, (*outputs, *kernel)))
    )
    assume(kernel != (1, 1) or stride != (1, 1))  # such a one is a matrix product, without taps
    op = conv(4, 2, outputs[0] * outputs[1], kernel=kernel, stride=stride, pads=pads)
    found = amounts(op, (1, 4, *size), (1, 2, *outputs))
    assert found["tap"] == inside
    assert found["tap"] + found["padded_tap"] == outputs[0] * outputs[1] * kernel[0] * kernel[1]


def test_depthwise_dense_and_matrix_products_have_their_own_class() -> None:
    depthwise = conv(8, 8, 16, kernel=(3, 3), groups=8, pads=(1, 1, 1, 1))
    assert amounts(depthwise, (1, 8, 4, 4), (1, 8, 4, 4))["class"] == "depthwise"
    gemm = Op(name="g", kind="Gemm", inputs=("x",), outputs=("y",), macs=80, weights=80)
    assert amounts(gemm, (1, 8), (1, 10))["class"] == "dense"
    product_of_two = Op(name="m", kind="MatMul", inputs=("x", "z"), outputs=("y",), macs=64)
    assert amounts(product_of_two, (1, 4, 4), (1, 4, 4), (1, 4, 4))["class"] == "matmul"


def test_a_kind_that_nobody_priced_has_no_work() -> None:
    op = Op(name="e", kind="Einsum", inputs=("x",), outputs=("y",))
    assert op_work(op, {}) is None


def test_a_signal_is_an_image_of_height_one() -> None:
    op = conv(2, 3, 10, kernel=(1, 3), pads=(0, 1, 0, 1))
    assert amounts(op, (1, 2, 10), (1, 3, 10)) == amounts(op, (1, 2, 1, 10), (1, 3, 1, 10))
