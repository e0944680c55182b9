"""Users' ONNX files as operator graphs: MLPerf's published counts, quantisation, layers by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from support.onnx_networks import REFERENCES, NetworkBuilder, ic01, kws01

from hwkd.core.errors import ModelFileError
from hwkd.core.graph import OpGraph
from hwkd.cost.fuse import fuse
from hwkd.io.runtime_files import load_runtime
from hwkd.trace.onnx_file import load_graph, load_network

# MACs and weights of the reference models, as MLPerf Tiny's submitters count them.
PUBLISHED = {
    "ad01": (264_192, 264_192),
    "ic01": (12_501_632, 77_360),
    "kws01": (2_656_768, 22_016),
    "vww01": (7_489_664, 208_112),
}


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, shape: tuple[int, ...]) -> None:
        random = np.random.default_rng(0)
        self.feeds = iter([{"input": random.standard_normal(shape).astype(np.float32)}] * 2)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def quantise(path: Path, shape: tuple[int, ...], quant_format: QuantFormat) -> Path:
    out = path.with_name(f"{quant_format.name}.onnx")
    quantize_static(
        path, out, Calibration(shape),
        quant_format=quant_format, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return out


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_networks_have_the_published_macs_and_weights(name: str, tmp_path: Path) -> None:
    builder, output = REFERENCES[name]()
    graph = load_graph(builder.save(output, tmp_path / "m.onnx"))
    assert (graph.macs, sum(op.weights for op in graph.ops)) == PUBLISHED[name]


@pytest.mark.parametrize("quant_format", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("network", [ic01, kws01])
def test_an_int8_file_runs_the_same_graph_as_its_float_original(
    network: Callable[[], tuple[NetworkBuilder, str]], quant_format: QuantFormat, tmp_path: Path
) -> None:
    builder, output = network()
    path = builder.save(output, tmp_path / "m.onnx")
    quantised = quantise(path, builder.shapes["input"], quant_format)
    rules = load_runtime("x-cube-ai-7").fusion
    before = fuse(load_graph(path), rules).graph
    after = fuse(load_graph(quantised), rules).graph

    def work(graph: OpGraph) -> Counter[object]:  # the quantiser may swap parallel branches
        shape = graph.tensors
        return Counter(
            (op.kind, op.macs, op.weights, op.biases, op.pads, shape[op.outputs[0]].shape)
            for op in graph.ops
        )

    assert work(after) == work(before)
    assert load_network(path, keep_types=True).dtype == "float32"
    assert load_network(quantised, keep_types=True).dtype == "int8"


def test_a_symbolic_batch_becomes_one(tmp_path: Path) -> None:
    builder = NetworkBuilder(3, 8, 8, batch="batch")
    output = builder.dense(builder.flatten(builder.pool(builder.conv("input", 4, (3, 3)))), 2)
    graph = load_graph(builder.save(output, tmp_path / "m.onnx"))
    assert graph.tensors["input"].shape == (1, 3, 8, 8)
    assert graph.macs == 4 * 3 * 9 * 64 + 4 * 2


def test_a_one_dimensional_convolution_has_height_one(tmp_path: Path) -> None:
    b = NetworkBuilder(6, 40)
    y = b.node(
        "Conv", ["input", b.weights(8, 3, 5)], (1, 8, 20),
        strides=[2], pads=[2, 2], group=2, dilations=[1],
    )  # fmt: skip
    (op,) = load_graph(b.save(y, tmp_path / "m.onnx")).ops
    assert (op.kernel, op.stride, op.pads, op.groups) == ((1, 5), (1, 2), (0, 2, 0, 2), 2)
    assert op.macs == 8 * 3 * 5 * 20
    assert (op.weights, op.biases) == (120, 0)


def test_a_kernel_that_is_not_that_of_the_weights_is_refused(tmp_path: Path) -> None:
    b = NetworkBuilder(1, 8, 8)
    y = b.node("Conv", ["input", b.weights(2, 1, 3, 3)], (1, 2, 6, 4), kernel_shape=[3, 5])
    with pytest.raises(ModelFileError, match=r"kernel of \[3, 5\] and has weights for \[3, 3\]"):
        load_graph(b.save(y, tmp_path / "m.onnx"))


@pytest.mark.parametrize(
    ("mode", "pads"), [("SAME_UPPER", (0, 0, 1, 1)), ("SAME_LOWER", (1, 1, 0, 0))]
)
def test_automatic_padding_is_worked_out(
    mode: str, pads: tuple[int, int, int, int], tmp_path: Path
) -> None:
    b = NetworkBuilder(1, 8, 8)
    y = b.node(
        "Conv", ["input", b.weights(2, 1, 3, 3)], (1, 2, 4, 4), strides=[2, 2], auto_pad=mode
    )
    (op,) = load_graph(b.save(y, tmp_path / "m.onnx")).ops
    assert op.pads == pads
    assert op.macs == 2 * 9 * 16


@pytest.mark.parametrize(
    ("equation", "input_shape", "weight_shape", "output_shape", "macs"),
    [
        ("bi,ij->bj", (1, 16), (16, 5), (1, 5), 80),
        ("bti,ij->btj", (1, 7, 16), (16, 5), (1, 7, 5), 560),
        ("...i,ij->...j", (1, 7, 16), (16, 5), (1, 7, 5), 560),
        ("bhqd,bhkd->bhqk", (1, 2, 3, 4), (1, 2, 6, 4), (1, 2, 3, 6), 144),
    ],
)
def test_sums_of_products_count_their_macs_and_weights(
    equation, input_shape, weight_shape, output_shape, macs, tmp_path
):
    b = NetworkBuilder(*input_shape[1:])
    y = b.node("Einsum", ["input", b.weights(*weight_shape)], output_shape, equation=equation)
    graph = load_graph(b.save(y, tmp_path / "m.onnx"))
    (op,) = graph.ops
    assert (op.macs, op.weights, graph.params) == (macs, *[int(np.prod(weight_shape))] * 2)


def test_attention_products_count_their_macs_and_no_weights(tmp_path: Path) -> None:
    b = NetworkBuilder(2, 8, 10)
    keys = b.node("Transpose", ["input"], (1, 2, 10, 8), perm=[0, 1, 3, 2])
    y = b.node("MatMul", ["input", keys], (1, 2, 8, 8))
    graph = load_graph(b.save(b.node("Softmax", [y], (1, 2, 8, 8), axis=-1), tmp_path / "m.onnx"))
    assert [op.kind for op in graph.ops] == ["Transpose", "MatMul", "Softmax"]
    assert graph.ops[1].macs == 2 * 8 * 8 * 10
    assert graph.params == 0


def test_a_matrix_product_with_weights_and_an_added_bias_is_fully_connected(tmp_path: Path) -> None:
    b = NetworkBuilder(12)
    y = b.node("MatMul", ["input", b.weights(12, 5)], (1, 5))
    y = b.relu(b.node("Add", [y, b.weights(5)], (1, 5)))
    graph = load_graph(b.save(y, tmp_path / "m.onnx"))
    (op,) = fuse(graph, load_runtime("tflm-reference").fusion).graph.ops
    assert (op.kind, op.macs, op.weights, op.biases) == ("MatMul", 60, 60, 5)
    assert op.outputs == (y,)


def test_shapes_computed_from_constants_are_no_operators(tmp_path: Path) -> None:
    b = NetworkBuilder(4, 6, 6)
    shape = b.node("Shape", ["input"], (4,))
    batch = b.node("Gather", [shape, b.constant(np.array(0, np.int64))], (), axis=0)
    first = b.node("Unsqueeze", [batch, b.constant(np.array([0], np.int64))], (1,))
    target = b.node("Concat", [first, b.constant(np.array([-1], np.int64))], (2,), axis=0)
    y = b.node("Reshape", ["input", target], (1, 144))
    graph = load_graph(b.save(y, tmp_path / "m.onnx"))
    assert [op.kind for op in graph.ops] == ["Reshape"]
    assert graph.tensors[y].shape == (1, 144)


def test_zero_output_channels_are_counted_only_where_the_bias_is_zero_too(tmp_path: Path) -> None:
    weights = np.ones((5, 1, 3, 3), np.float32)
    weights[2:] = 0
    bias = np.array([1, 0, 0, 0, 7], np.float32)
    b = NetworkBuilder(1, 8, 8)
    y = b.node("Conv", ["input", b.constant(weights), b.constant(bias)], (1, 5, 6, 6))
    (op,) = load_graph(b.save(y, tmp_path / "m.onnx")).ops
    assert op.zero_out_channels == 2


def test_a_pad_of_zeros_around_the_image_keeps_its_amounts(tmp_path: Path) -> None:
    b = NetworkBuilder(3, 8, 8)
    amounts = b.constant(np.array([0, 0, 1, 2, 0, 0, 3, 4], np.int64))
    y = b.node("Pad", ["input", amounts], (1, 3, 12, 14))
    (op,) = load_graph(b.save(y, tmp_path / "m.onnx")).ops
    assert op.pads == (1, 2, 3, 4)


def test_an_operator_without_a_cost_stays_in_the_graph(tmp_path: Path) -> None:
    b = NetworkBuilder(3, 8, 8)
    y = b.node("LpNormalization", ["input"], (1, 3, 8, 8), axis=1, p=2)
    assert [op.kind for op in load_graph(b.save(y, tmp_path / "m.onnx")).ops] == ["LpNormalization"]


def test_nodes_out_of_order_are_sorted(tmp_path: Path) -> None:
    builder, output = kws01()
    builder.nodes.reverse()
    graph = load_graph(builder.save(output, tmp_path / "m.onnx"))
    assert graph.macs == PUBLISHED["kws01"][0]
    assert graph.ops[0].inputs == ("input",)


def test_weights_in_a_file_beside_the_model_are_read(tmp_path: Path) -> None:
    b = NetworkBuilder(1, 8, 8)
    weights = b.constant(np.zeros((4, 1, 3, 3), np.float32))
    y = b.node("Conv", ["input", weights], (1, 4, 6, 6))
    path = tmp_path / "m.onnx"
    onnx.save(
        b.model(y), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    (op,) = load_graph(path).ops
    assert (op.weights, op.zero_out_channels) == (36, 4)


def test_constant_nodes_are_constants(tmp_path: Path) -> None:
    b = NetworkBuilder(8)
    value = numpy_helper.from_array(np.array([2.0], np.float32))
    half = b.node("Constant", [], (1,), value=value)
    y = b.node("Mul", ["input", half], (1, 8))
    (op,) = load_graph(b.save(y, tmp_path / "m.onnx")).ops
    assert (op.kind, op.inputs, op.constants) == ("Mul", ("input",), 1)


def test_inputs_that_are_initializers_too_are_constants(tmp_path: Path) -> None:
    b = NetworkBuilder(8)
    model = b.model(b.dense("input", 3))
    for tensor in model.graph.initializer:
        listed = helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, list(tensor.dims))
        model.graph.input.append(listed)
    onnx.save(model, tmp_path / "m.onnx")
    assert load_graph(tmp_path / "m.onnx").inputs == ("input",)
