"""The operator graph against numbers worked out by hand."""

from __future__ import annotations

from hwkd.core.graph import Op, Tensor
from hwkd.core.layers_builder import LayersBuilder
from hwkd.cost.graph import build_graph


def test_operators_of_a_three_layer_student_match_arithmetic_by_hand() -> None:
    builder = LayersBuilder((3, 8, 6))
    stem = builder.conv("input", "stem", 4, kernel=3, stride=2, activation="relu6")
    builder.classifier(stem, 5)
    graph = build_graph(builder.build())

    assert graph.ops == (
        # 4 filters of 3 x 3 x 3, at ceil(8 / 2) x ceil(6 / 2) places
        Op(
            name="stem", kind="Conv", inputs=("input",), outputs=("stem",),
            macs=4 * 27 * 4 * 3, weights=4 * 27, biases=4,
            kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1),
        ),
        Op(name="stem_act", kind="Clip", inputs=("stem",), outputs=("stem_act",)),
        Op(name="pool", kind="GlobalAveragePool", inputs=("stem_act",), outputs=("pool",)),
        Op(name="embedding", kind="Reshape", inputs=("pool",), outputs=("embedding",)),
        Op(
            name="logits", kind="Gemm", inputs=("embedding",), outputs=("logits",),
            macs=20, weights=20, biases=5,
        ),
    )  # fmt: skip
    assert graph.tensors["stem_act"] == Tensor(name="stem_act", shape=(1, 4, 4, 3))
    assert graph.inputs == ("input",)
    assert graph.outputs == ("logits",)


def test_depthwise_weights_are_divided_by_the_groups() -> None:
    builder = LayersBuilder((8, 5, 5))
    builder.depthwise("input", "spatial", kernel=5)
    (op,) = build_graph(builder.build()).ops
    assert (op.weights, op.biases, op.groups) == (8 * 25, 8, 8)
    assert op.macs == 8 * 25 * 25


def test_matrix_product_counts_one_mac_for_each_term_of_each_sum() -> None:
    builder = LayersBuilder((6, 2, 2))
    left = builder.reshape("input", "left", (2, 3, 4))
    right = builder.transpose(left, "right", (0, 2, 1))
    builder.matmul(left, right, "product")
    op = build_graph(builder.build()).ops[-1]
    # two heads of (3 x 4) times (4 x 3)
    assert (op.kind, op.macs, op.weights) == ("MatMul", 2 * 3 * 3 * 4, 0)


def test_time_series_become_images_of_height_one() -> None:
    builder = LayersBuilder((6, 128))
    builder.conv(builder.image, "stem", 4, kernel=5, stride=4)
    reshape, conv = build_graph(builder.build()).ops
    assert (reshape.name, reshape.kind) == ("to_image", "Reshape")
    assert (conv.kernel, conv.stride, conv.pads) == ((1, 5), (1, 4), (0, 2, 0, 2))
    assert conv.macs == 4 * 6 * 5 * 32


def test_consumers_read_the_output_of_the_activation() -> None:
    builder = LayersBuilder((2, 4, 4))
    first = builder.conv("input", "first", 2, activation="hard_swish")
    builder.add(first, "input", "total", activation="relu")
    graph = build_graph(builder.build())
    assert [op.name for op in graph.ops] == ["first", "first_act", "total", "total_act"]
    assert graph.ops[2].inputs == ("first_act", "input")
    assert graph.outputs == ("total_act",)
