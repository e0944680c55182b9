"""What only counted kernels tell apart, against closed forms of the C's loops."""

from __future__ import annotations

from typing import Any

import pytest

from hwkd.core.device import WORK
from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.memory_model import FusionRules
from hwkd.cost.finer_terms import priced_work
from hwkd.cost.free_transposes import free_transposes
from hwkd.cost.latency_terms import op_work


def amounts(kind: str, *shapes: tuple[int, ...], **fields: Any) -> dict[str, Any]:
    """Amounts of an operator whose last shape is its output's."""
    names = [f"t{i}" for i in range(len(shapes))]
    tensors = {n: Tensor(name=n, shape=s) for n, s in zip(names, shapes, strict=True)}
    op = Op(name="op", kind=kind, inputs=tuple(names[:-1]), outputs=(names[-1],), **fields)
    work = priced_work(op, tensors, WORK)
    assert work is not None
    return {"class": work.op_class, **dict(zip(WORK[work.op_class], work.amounts, strict=True))}


def test_a_fit_without_finer_classes_prices_by_coarse_ones() -> None:
    tensors = {n: Tensor(name=n, shape=(1, 4, 6, 6)) for n in "xy"}
    op = Op(name="p", kind="MaxPool", inputs=("x",), outputs=("y",), kernel=(3, 3))
    assert priced_work(op, tensors, ("pool",)) == op_work(op, tensors)


def test_joined_channels_are_a_stretch_for_each_pixel_and_input() -> None:
    found = amounts("Concat", (1, 3, 4, 5), (1, 7, 4, 5), (1, 10, 4, 5))
    assert (found["class"], found["output"], found["run"]) == ("move", 200, 40)
    assert found["looked_up"] == 200


def test_a_cut_of_rows_is_one_stretch_of_columns_one_a_row_of_channels_one_a_pixel() -> None:
    whole = (1, 8, 6, 5)
    assert amounts("Slice", whole, (1, 8, 2, 5))["run"] == 1
    assert amounts("Slice", whole, (1, 8, 6, 3))["run"] == 6
    assert amounts("Slice", whole, (1, 2, 6, 5))["run"] == 30


def test_a_pad_fills_all_and_copies_row_by_row() -> None:
    found = amounts("Pad", (1, 8, 6, 5), (1, 8, 8, 7))
    assert (found["filled"], found["output"], found["run"]) == (448, 240, 6)


def test_repeated_pixels_are_moved_one_by_one() -> None:
    assert amounts("Resize", (1, 3, 4, 4), (1, 3, 8, 8))["run"] == 64
    between = amounts("Resize", (1, 3, 4, 4), (1, 3, 8, 8), macs=4 * 192)
    assert (between["class"], between["output"], between["pixel"]) == ("resize", 192, 64)


def test_rows_of_a_softmax_and_of_a_normalisation_are_those_of_the_last_axis() -> None:
    for kind, name in (("Softmax", "softmax_rows"), ("LayerNormalization", "layer_norm")):
        found = amounts(kind, (1, 9, 16), (1, 9, 16))
        assert (found["class"], found["output"], found["row"]) == (name, 144, 9)


def test_every_tap_of_a_transposed_convolution_meets_every_input_once() -> None:
    weights = 6 * 3 * 4 * 4
    found = amounts(
        "ConvTranspose", (1, 3, 5, 5), (1, 6, 10, 10), kernel=(4, 4), weights=weights,
        macs=weights * 25,
    )  # fmt: skip
    assert (found["mac"], found["tap"], found["output"]) == (weights * 25, 6 * 16 * 25, 600)


def _conv(groups: int, channels: int, outputs: int, kernel: tuple[int, int]) -> dict[str, Any]:
    weights = outputs * channels // groups * kernel[0] * kernel[1]
    pads = (kernel[0] // 2, kernel[1] // 2) * 2
    return amounts(
        "Conv", (1, channels, 6, 8), (1, outputs, 6, 8), kernel=kernel, groups=groups,
        weights=weights, macs=weights * 48, pads=pads,
    )  # fmt: skip


def test_a_depthwise_convolution_takes_four_channels_at_once() -> None:
    three, five = _conv(10, 10, 10, (3, 3)), _conv(10, 10, 10, (5, 1))
    assert (three["class"], three["block"], three["pixel"]) == ("lined", 3, 3 * 48)
    assert (three["tap"], three["tap_of_nine"]) == (0, 3 * 48 * 9)
    assert (five["tap"], five["tap_of_nine"]) == (3 * 48 * 5, 0)
    assert three["loaded"] == five["loaded"] == 3 * 48


@pytest.mark.parametrize("outputs", [8, 16])
def test_groups_of_several_channels_or_filters_run_output_by_output(outputs: int) -> None:
    groups = 4 if outputs == 8 else 8
    found = _conv(groups, 8, outputs, (3, 3))
    assert (found["class"], found["tap"]) == ("grouped", outputs * 48 * 9)


def _dense_conv(
    image: tuple[int, int], channels: int, outputs: int, kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1), pad: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
) -> dict[str, Any]:  # fmt: skip
    """Amounts of a dense convolution, with what walking over its windows finds."""
    out = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, p, d, k, s in zip(image, pad, dilation, kernel, stride, strict=True)
    ]
    found = amounts(
        "Conv", (1, channels, *image), (1, outputs, *out), kernel=kernel, stride=stride,
        dilation=dilation, pads=(*pad, *pad), weights=outputs * channels * kernel[0] * kernel[1],
        macs=outputs * channels * kernel[0] * kernel[1] * out[0] * out[1],
    )  # fmt: skip
    inside = pieces = 0
    for y in range(out[0]):
        for x in range(out[1]):
            for ky in range(kernel[0]):
                row = y * stride[0] - pad[0] + ky * dilation[0]
                places = [x * stride[1] - pad[1] + k * dilation[1] for k in range(kernel[1])]
                are_in = [0 <= place < image[1] for place in places]
                if 0 <= row < image[0]:
                    inside += sum(are_in)
                    pieces += len(places) * (not all(are_in) or dilation[1] > 1)
    return {**found, "walked": inside * channels, "walked_pieces": pieces, "out": out}


@pytest.mark.parametrize(
    ("image", "kernel", "stride", "pad", "dilation"),
    [
        ((9, 11), (3, 3), (1, 1), (1, 1), (1, 1)),
        ((9, 11), (5, 7), (2, 3), (2, 4), (1, 1)),
        ((1, 40), (1, 8), (1, 8), (0, 0), (1, 1)),
        ((16, 24), (16, 3), (16, 1), (0, 0), (1, 1)),
        ((6, 6), (3, 3), (1, 1), (2, 2), (2, 2)),
        ((2, 3), (5, 5), (1, 1), (4, 4), (1, 1)),
    ],
)
def test_a_dense_convolution_lists_what_its_windows_read(
    image: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int],
    pad: tuple[int, int], dilation: tuple[int, int],
) -> None:  # fmt: skip
    found = _dense_conv(image, 5, 3, kernel, stride, pad, dilation)
    pixels = found["out"][0] * found["out"][1]
    assert (found["class"], found["pixel"], found["row"]) == (
        "gathered",
        pixels,
        pixels * kernel[0],
    )
    assert (found["byte"], found["tap"]) == (found["walked"], found["walked_pieces"])
    assert found["byte"] + found["filled"] == pixels * kernel[0] * kernel[1] * 5


def test_the_last_one_or_two_pixels_of_a_dense_layer_are_multiplied_alone() -> None:
    found = {pixels: _dense_conv((1, pixels + 2), 4, 6, (1, 3)) for pixels in (1, 2, 3, 4, 9)}
    products = 6 * 12
    assert [one["single_mac"] for one in found.values()] == [products, 2 * products, 0, 0, products]
    assert [one["mac"] // products for one in found.values()] == [0, 0, 0, 4, 8]
    assert [one["mac_of_three"] // products for one in found.values()] == [0, 0, 3, 0, 0]
    assert found[9]["pair"] == 2 * 3


def test_channels_in_fours_are_widened_as_they_are_listed() -> None:
    assert _dense_conv((6, 6), 8, 4, (3, 3))["narrow_byte"] == 0
    assert _dense_conv((6, 6), 6, 4, (3, 3))["narrow_byte"] == 16 * 54
    assert _dense_conv((6, 6), 8, 4, (3, 3), dilation=(2, 1))["narrow_byte"] == 8 * 72


def test_a_vector_is_one_pixel_of_a_pointwise_convolution() -> None:
    vector = amounts("Gemm", (1, 24), (1, 10), weights=240, macs=240)
    pixel = amounts("Conv", (1, 24, 1, 1), (1, 10, 1, 1), weights=240, macs=240)
    assert vector == pixel
    assert (vector["class"], vector["single_mac"], vector["single_rest"]) == ("listed", 240, 48)


def test_a_smaller_factor_begins_anew_for_each_pixel() -> None:
    assert amounts("Mul", (1, 8, 4, 4), (1, 8, 1, 1), (1, 8, 4, 4))["run"] == 16
    assert amounts("Mul", (1, 8, 4, 4), (1, 8, 4, 4), (1, 8, 4, 4))["run"] == 1


def _chain(*kinds: str) -> OpGraph:
    names = [f"t{i}" for i in range(len(kinds) + 1)]
    ops = tuple(
        Op(name=f"{kind}{i}", kind=kind, inputs=(names[i],), outputs=(names[i + 1],))
        for i, kind in enumerate(kinds)
    )
    tensors = {name: Tensor(name=name, shape=(1, 4, 4)) for name in names}
    return OpGraph(ops=ops, tensors=tensors, inputs=(names[0],), outputs=(names[-1],))


@pytest.mark.parametrize(
    ("kinds", "free"),
    [
        (("Conv", "Reshape", "Transpose", "Reshape", "Conv"), 0),
        (("Conv", "Reshape", "Transpose", "MatMul"), 1),
        (("MatMul", "Transpose", "Sigmoid", "Reshape", "Conv"), 1),
        (("Transpose", "Conv"), 1),
        (("Conv", "Transpose", "Transpose", "Softmax", "Transpose", "Conv"), 3),
    ],
)
def test_a_transpose_copies_only_between_operators_that_fix_how_tensors_lie(
    kinds: tuple[str, ...], free: int
) -> None:
    rules = FusionRules(views=frozenset({"Reshape"}), strided=frozenset({"MatMul", "Softmax"}))
    assert len(free_transposes(_chain(*kinds), rules)) == free
    assert not free_transposes(_chain(*kinds), FusionRules())
