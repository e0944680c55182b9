"""Shapes and refusals of the builder that search spaces write students with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwkd.core.layers_builder import LayersBuilder, max_stages, stem_stride


def test_windows_shrink_on_axes_too_short_for_them() -> None:
    builder = LayersBuilder((2, 2, 9))
    builder.conv("input", "wide", 4, kernel=7)
    layer = builder.build().layers[0]
    assert layer.kernel == (3, 7)
    assert layer.shape == (4, 2, 9)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.integers(1, 4),
)
def test_padding_keeps_one_position_for_each_stride(
    height: int, width: int, kernel: int, stride: int
) -> None:
    builder = LayersBuilder((1, height, width))
    builder.conv("input", "conv", 3, kernel=kernel, stride=stride)
    _, out_height, out_width = builder.shape("conv")
    assert out_height == -(-height // min(stride, height))
    assert out_width == -(-width // min(stride, width))


def test_pooling_drops_the_rest_and_never_exceeds_the_map() -> None:
    builder = LayersBuilder((1, 5, 1))
    builder.max_pool("input", "pooled", kernel=2)
    assert builder.shape("pooled") == (1, 2, 1)


def test_concat_adds_up_one_axis_and_softmax_keeps_the_shape() -> None:
    builder = LayersBuilder((3, 4, 5))
    builder.concat(["input", "input", builder.conv("input", "c", 2)], "channels")
    builder.concat(["input", "input"], "columns", axis=-1)
    builder.softmax("channels", "shares", axis=0)
    assert builder.shape("channels") == builder.shape("shares") == (8, 4, 5)
    assert builder.shape("columns") == (3, 4, 10)
    assert [layer.axis for layer in builder.build().layers] == [0, 0, 2, 0]


def test_key_names_the_axis_and_is_what_stored_networks_have() -> None:
    def key(axis: int) -> str:
        builder = LayersBuilder((2, 4, 4))
        builder.softmax("input", "shares", axis=axis)
        return builder.build().key

    assert len({key(axis) for axis in (0, 1, 2)}) == 3
    builder = LayersBuilder((1, 8, 8))
    builder.classifier(builder.conv("input", "stem", 4, kernel=3, activation="relu6"), 3)
    assert builder.build().key == "da3b3a4a1bc79420"


def test_squeeze_excite_is_four_layers_that_keep_the_shape() -> None:
    builder = LayersBuilder((16, 4, 4))
    builder.squeeze_excite("input", "se")
    layers = builder.build().layers
    assert [layer.kind for layer in layers] == ["global_avg_pool", "conv", "conv", "mul"]
    assert layers[-1].shape == (16, 4, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b: b.conv("input", "c", 5, groups=2), "4 -> 5 channels in 2 groups"),
        (lambda b: b.conv("input", "c", 5, kernel=2), "choose an odd one"),
        (lambda b: b.linear("input", "c", 5), "expected a vector"),
        (lambda b: b.reshape("input", "c", (3, 5)), "has no shape"),
        (lambda b: b.transpose("input", "c", (0, 1)), "no permutation"),
        (lambda b: b.matmul("input", "input", "c"), "cannot multiply"),
        (lambda b: b.concat(["input"], "c"), "cannot put"),
        (lambda b: b.concat(["input", b.max_pool("input", "p", kernel=2)], "c"), "side by side"),
        (lambda b: b.concat(["input", b.reshape("input", "r", (4, 24))], "c"), "side by side"),
        (lambda b: b.softmax("input", "c", axis=3), "axis 3 of input"),
        (lambda b: b.add("input", b.global_avg_pool("input", "p"), "p"), "two layers"),
        (lambda b: b.add("input", b.reshape("input", "r", (4, 24)), "a"), "do not broadcast"),
        (lambda b: b.conv("input", "a.b", 2), "letters, digits"),
        (lambda b: b.conv(b.reshape("input", "r", (4, 24)), "c", 2), "expected .channels"),
    ],
)
def test_impossible_layers_are_refused_with_their_shapes(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make(LayersBuilder((4, 4, 6)))


def test_the_key_names_the_network_and_not_how_it_was_asked_for() -> None:
    def key(kernel: int, channels: int) -> str:
        builder = LayersBuilder((1, 2, 2))
        builder.conv("input", "conv", channels, kernel=kernel)
        return builder.build().key

    assert key(kernel=5, channels=4) == key(kernel=3, channels=4)
    assert key(kernel=3, channels=4) != key(kernel=3, channels=5)


@pytest.mark.parametrize("shape", [(3,), (3, 0, 2), (1, 2, 3, 4)])
def test_inputs_that_are_neither_series_nor_image_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        LayersBuilder(shape)


@pytest.mark.parametrize(
    ("shape", "stride", "stages"),
    [
        ((1, 8, 8), 1, 3),
        ((1, 28, 28), 1, 4),
        ((3, 96, 96), 2, 4),
        ((1, 16000), 4, 4),
        ((1, 1, 1), 1, 1),
    ],
)
def test_stem_and_stages_follow_the_input_size(
    shape: tuple[int, ...], stride: int, stages: int
) -> None:
    assert stem_stride(shape) == stride
    assert max_stages(shape) == stages
