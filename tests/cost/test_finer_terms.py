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


def test_holes_in_a_window_are_a_class_of_their_own() -> None:
    sizes = {"kernel": (3, 3), "weights": 8 * 8 * 9, "macs": 8 * 8 * 9 * 36, "pads": (2, 2, 2, 2)}
    shapes = (1, 8, 6, 6), (1, 8, 6, 6)
    plain = amounts("Conv", *shapes, **sizes)
    holes = amounts("Conv", *shapes, dilation=(2, 2), **sizes)
    assert (plain.pop("class"), holes.pop("class")) == ("conv", "dilated")
    assert plain == holes


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
