"""The graph that runs: fusion, dead branches, explicit padding and all-zero channels."""

from __future__ import annotations

import pytest

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.memory_model import FusionRules
from hwkd.cost.fuse import fuse
from hwkd.cost.window_padding import is_same_padding
from hwkd.io.runtime_files import load_runtime

PLAIN = FusionRules()


def graph_of(
    ops: list[Op], shapes: dict[str, tuple[int, ...]], outputs: tuple[str, ...] | None = None
) -> OpGraph:
    tensors = {name: Tensor(name=name, shape=shape) for name, shape in shapes.items()}
    last = outputs or (ops[-1].outputs[0],)
    return OpGraph(ops=tuple(ops), tensors=tensors, inputs=("x",), outputs=last)


def op(name: str, kind: str, *inputs: str, **fields: object) -> Op:
    return Op(name=name, kind=kind, inputs=inputs, outputs=(name,), **fields)


def conv(name: str, source: str, channels: int, **fields: object) -> Op:
    return op(name, "Conv", source, weights=channels * 4, biases=channels, **fields)


def kinds(graph: OpGraph) -> list[str]:
    return [op.kind for op in graph.ops]


def test_an_activation_disappears_into_its_convolution() -> None:
    shapes = dict.fromkeys(("x", "a", "b"), (1, 4, 8, 8))
    fused = fuse(graph_of([conv("a", "x", 4), op("b", "Relu", "a")], shapes), PLAIN)
    assert kinds(fused.graph) == ["Conv"]
    assert fused.graph.ops[0].outputs == ("b",)
    assert fused.fused_into == {"b": "a"}
    assert set(fused.graph.tensors) == {"x", "b"}


def test_an_activation_whose_input_is_read_twice_stays() -> None:
    shapes = dict.fromkeys(("x", "a", "b", "c"), (1, 4, 8, 8))
    ops = [conv("a", "x", 4), op("b", "Relu", "a"), op("c", "Add", "a", "b")]
    assert kinds(fuse(graph_of(ops, shapes), PLAIN).graph) == ["Conv", "Relu", "Add"]


def test_an_activation_after_an_output_of_the_graph_stays() -> None:
    shapes = dict.fromkeys(("x", "a", "b"), (1, 4, 8, 8))
    graph = graph_of([conv("a", "x", 4), op("b", "Relu", "a")], shapes, outputs=("a", "b"))
    assert kinds(fuse(graph, PLAIN).graph) == ["Conv", "Relu"]


def test_an_activation_after_a_kernel_that_cannot_clamp_stays() -> None:
    shapes = dict.fromkeys(("x", "a", "b"), (1, 4, 8, 8))
    ops = [op("a", "Transpose", "x"), op("b", "Relu", "a")]
    assert kinds(fuse(graph_of(ops, shapes), PLAIN).graph) == ["Transpose", "Relu"]


@pytest.mark.parametrize("kind", ["HardSwish", "HardSigmoid", "Sigmoid", "Tanh"])
@pytest.mark.parametrize(
    ("runtime", "count"),
    [("x-cube-ai-8", 2), ("x-cube-ai-10", 2), ("st-edge-ai-4", 2), ("tflm-cmsis-nn", 2),
     ("onnxruntime", 1)],
)  # fmt: skip
def test_a_curve_is_fused_only_where_the_runtime_is_known_to_do_it(
    runtime: str, count: int, kind: str
) -> None:
    if (runtime, kind) == ("onnxruntime", "Tanh"):
        count = 2
    shapes = dict.fromkeys(("x", "a", "b"), (1, 4, 8, 8))
    ops = [conv("a", "x", 4), op("b", kind, "a")]
    assert len(fuse(graph_of(ops, shapes), load_runtime(runtime).fusion).graph.ops) == count


def test_a_batch_normalisation_becomes_the_bias_of_its_convolution() -> None:
    shapes = dict.fromkeys(("x", "a", "b", "c"), (1, 4, 8, 8))
    bare = op("a", "Conv", "x", weights=16)
    norm = op("b", "BatchNormalization", "a", weights=4, biases=4)
    fused = fuse(graph_of([bare, norm, op("c", "Relu", "b")], shapes), PLAIN)
    (only,) = fused.graph.ops
    assert (only.weights, only.biases, only.outputs) == (16, 4, ("c",))


def test_branches_that_nobody_reads_and_renamings_do_not_run() -> None:
    shapes = dict.fromkeys(("x", "a", "dead", "deader", "same", "b"), (1, 4, 8, 8))
    ops = [
        conv("a", "x", 4),
        conv("dead", "a", 4),
        op("deader", "Relu", "dead"),
        op("same", "Identity", "a"),
        op("b", "Relu", "same"),
    ]
    fused = fuse(graph_of(ops, shapes), PLAIN)
    assert kinds(fused.graph) == ["Conv"]
    assert fused.fused_into == {"dead": "", "deader": "", "same": "", "b": "a"}


def test_a_view_lets_the_activation_through() -> None:
    shapes = {"x": (1, 4, 8, 8), "a": (1, 4, 8, 8), "v": (1, 256), "b": (1, 256)}
    ops = [conv("a", "x", 4), op("v", "Reshape", "a"), op("b", "Gemm", "v", weights=9)]
    with_views = fuse(graph_of(ops, shapes), load_runtime("x-cube-ai-8").fusion).graph
    assert kinds(with_views) == ["Conv", "Gemm"]
    assert with_views.ops[1].inputs == ("a",)
    assert (
        kinds(fuse(graph_of(ops, shapes), load_runtime("tflm-reference").fusion).graph)[1]
        == "Reshape"
    )


def test_a_pad_joins_the_window_that_follows() -> None:
    shapes = {"x": (1, 4, 8, 8), "p": (1, 4, 10, 10), "a": (1, 4, 10, 10)}
    ops = [
        op("p", "Pad", "x", pads=(1, 1, 1, 1)),
        conv("a", "p", 4, kernel=(3, 3), pads=(1, 1, 1, 1)),
    ]
    fused = fuse(graph_of(ops, shapes), load_runtime("x-cube-ai-8").fusion)
    (only,) = fused.graph.ops
    assert (only.inputs, only.pads) == (("x",), (2, 2, 2, 2))
    assert fused.fused_into == {"p": "a"}


@pytest.mark.parametrize(
    ("pads", "stride", "is_same"),
    [((1, 1, 1, 1), 1, True), ((1, 1, 1, 1), 2, False), ((0, 0, 1, 1), 2, True)],
)
def test_padding_that_tensorflow_calls_same(
    pads: tuple[int, int, int, int], stride: int, is_same: bool
) -> None:
    window = conv("a", "x", 4, kernel=(3, 3), stride=(stride, stride), pads=pads)
    assert is_same_padding(window, (1, 4, 8, 8)) is is_same


def test_tflm_pads_symmetrically_strided_convolutions_with_an_operator() -> None:
    shapes = {"x": (1, 4, 8, 8), "a": (1, 4, 4, 4), "b": (1, 4, 4, 4)}
    window = conv("a", "x", 4, kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1))
    fused = fuse(
        graph_of([window, op("b", "Relu", "a")], shapes), load_runtime("tflm-cmsis-nn").fusion
    ).graph
    assert kinds(fused) == ["Pad", "Conv"]
    assert fused.tensors["a_pad"].shape == (1, 4, 10, 10)
    assert (fused.ops[1].inputs, fused.ops[1].pads) == (("a_pad",), (0, 0, 0, 0))


def mobilenet_block(zero: int) -> OpGraph:
    """Pointwise 8->16 of which `zero` are zero, depthwise, pointwise 16->4."""
    shapes = {"x": (1, 8, 6, 6), "p": (1, 16, 6, 6), "d": (1, 16, 6, 6), "q": (1, 4, 6, 6)}
    ops = [
        op("p", "Conv", "x", macs=8 * 16 * 36, weights=128, biases=16, zero_out_channels=zero),
        op(
            "d", "Conv", "p", macs=9 * 16 * 36, weights=144, biases=16, groups=16,
            kernel=(3, 3), pads=(1, 1, 1, 1),
        ),
        op("q", "Conv", "d", macs=16 * 4 * 36, weights=64, biases=4),
    ]  # fmt: skip
    return graph_of(ops, shapes)


def test_zero_channels_are_not_computed_from_x_cube_ai_8_on_and_are_elsewhere() -> None:
    graph = mobilenet_block(zero=12)
    assert fuse(graph, load_runtime("x-cube-ai-7").fusion).graph.macs == graph.macs
    assert fuse(graph, load_runtime("tflm-cmsis-nn").fusion).graph.macs == graph.macs
    fused = fuse(graph, load_runtime("x-cube-ai-8").fusion)
    assert [op.macs for op in fused.graph.ops] == [8 * 4 * 36, 9 * 4 * 36, 4 * 4 * 36]
    assert fused.graph.ops[1].groups == 4
    assert fused.stored.macs == graph.macs


def test_zero_channels_that_are_added_to_others_stay() -> None:
    graph = mobilenet_block(zero=12)
    shapes = {name: tensor.shape for name, tensor in graph.tensors.items()} | {"s": (1, 16, 6, 6)}
    graph = graph_of([*graph.ops[:2], op("s", "Add", "p", "d")], shapes)
    assert fuse(graph, load_runtime("x-cube-ai-8").fusion).graph.macs == graph.macs


@pytest.mark.parametrize(("zero", "kept"), [(3, 16), (5, 12), (9, 8), (16, 4)])
def test_zero_channels_go_in_whole_groups_of_four_and_one_group_stays(zero: int, kept: int) -> None:
    fused = fuse(mobilenet_block(zero), load_runtime("x-cube-ai-8").fusion).graph
    assert [op.macs for op in fused.ops] == [8 * kept * 36, 9 * kept * 36, 4 * kept * 36]


def test_zero_channels_before_the_last_layer_go_whether_or_not_a_reshape_is_left() -> None:
    shapes = {"x": (1, 8, 6, 6), "p": (1, 16, 6, 6), "g": (1, 16, 1, 1), "f": (1, 16), "y": (1, 2)}
    ops = [
        op("p", "Conv", "x", macs=8 * 16 * 36, weights=128, biases=16, zero_out_channels=12),
        op("g", "GlobalAveragePool", "p"),
        op("f", "Reshape", "g"),
        op("y", "Gemm", "f", macs=32, weights=32, biases=2),
    ]
    fused = fuse(graph_of(ops, shapes), load_runtime("x-cube-ai-8").fusion)
    assert fused.graph.macs == 8 * 4 * 36 + 4 * 2
    assert fused.graph.tensors["g"].shape == (1, 4, 1, 1)


def test_a_pad_that_is_not_plain_zeros_around_the_image_stays() -> None:
    shapes = {"x": (1, 4, 8, 8), "p": (1, 6, 8, 8), "a": (1, 4, 8, 8)}
    ops = [op("p", "Pad", "x"), conv("a", "p", 4)]
    assert kinds(fuse(graph_of(ops, shapes), load_runtime("x-cube-ai-8").fusion).graph) == [
        "Pad",
        "Conv",
    ]


def test_only_a_strided_runtime_copies_an_operand_that_lies_otherwise_and_once() -> None:
    image, vector = (1, 3, 4, 4), (1, 48)
    shapes = {"x": image, "flat": vector, "y": vector, "gap": vector, "twice": vector}
    ops = (
        Op(name="view", kind="Reshape", inputs=("x",), outputs=("flat",)),
        Op(name="dense", kind="Gemm", inputs=("flat",), outputs=("y",), weights=48 * 48, macs=2304),
        Op(name="less", kind="Sub", inputs=("flat", "y"), outputs=("gap",)),
        Op(name="more", kind="Add", inputs=("gap", "gap"), outputs=("twice",)),
    )
    tensors = {name: Tensor(name=name, shape=shape) for name, shape in shapes.items()}
    graph = OpGraph(ops=ops, tensors=tensors, inputs=("x",), outputs=("twice",))
    kinds = [op.kind for op in fuse(graph, load_runtime("hwkd-c").fusion).graph.ops]
    assert kinds == ["Gemm", "Transpose", "Sub", "Add"]
    kinds = [op.kind for op in fuse(graph, FusionRules(views=("Reshape",))).graph.ops]
    assert kinds == ["Gemm", "Sub", "Add"]
