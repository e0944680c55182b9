"""What the reader makes of QDQ files, and the one line that it says of others."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import NetworkBuilder, mobilenet_v1_025, quantise
from hwkd.core.errors import ExportError, ModelFileError
from hwkd.qgraph.ir import Binary, Conv, FullyConnected, Pool, Table, View
from hwkd.qgraph.read_qdq import read_qdq


def test_macs_of_mobilenet_equal_the_sum_over_its_layers(tmp_path):
    graph = read_qdq(quantise(mobilenet_v1_025(), tmp_path, "net"))
    stem = 48 * 48 * 8 * 3 * 9
    sizes = [48, 24, 24, 12, 12, 6, 6, 6, 6, 6, 6, 3, 3]
    widths = [8, 16, 32, 32, 64, 64, *[128] * 6, 256, 256]
    blocks = sum(
        size**2 * (9 * before + before * after)
        for size, before, after in zip(sizes, widths[:13], widths[1:], strict=True)
    )
    assert graph.macs == stem + blocks + 256 * 2


def test_relu_behind_a_convolution_costs_no_operator(tmp_path):
    graph = read_qdq(quantise(OP_NETWORKS["flatten_before_linear"](), tmp_path, "net"))
    assert [type(op) for op in graph.ops] == [Conv, View, FullyConnected, FullyConnected]


def test_a_function_of_one_tensor_becomes_a_table(tmp_path):
    graph = read_qdq(quantise(OP_NETWORKS["squeeze_excite"](), tmp_path, "net"))
    kinds = [type(op) for op in graph.ops]
    assert kinds == [Conv, Table, Pool, Conv, Conv, Table, Binary, Conv, Pool, View, FullyConnected]


def test_hard_swish_table_equals_its_definition(tmp_path):
    net = NetworkBuilder((2, 4, 4))
    net.conv(3, relu="HardSwish")
    graph = read_qdq(quantise(net, tmp_path, "net"))
    op = next(op for op in graph.ops if isinstance(op, Table))
    source, target = graph.tensors[op.inputs[0]], graph.tensors[op.output]
    x = (np.arange(-128, 128) - source.zero_point) * np.float64(source.scale)
    y = x * np.clip(x / 6 + 0.5, 0, 1) / np.float64(target.scale) + target.zero_point
    assert np.abs(op.table - np.clip(y, -128, 127)).max() <= 0.501


def test_float_model_is_refused(tmp_path):
    quantise(OP_NETWORKS["residual"](), tmp_path, "net")
    with pytest.raises(ExportError, match=r"net\.onnx: a float model, expected int8"):
        read_qdq(tmp_path / "net.onnx")


def test_a_file_that_is_not_onnx_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no protobuf at all" * 10)
    with pytest.raises(ModelFileError, match="not a complete ONNX file"):
        read_qdq(path)


def rewrite(path, change):
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def test_unknown_operator_is_named_with_its_node(tmp_path):
    path = quantise(OP_NETWORKS["residual"](), tmp_path, "net")

    def change(model):
        node = next(node for node in model.graph.node if node.op_type == "GlobalAveragePool")
        node.op_type = "GlobalMaxPool"

    rewrite(path, change)
    with pytest.raises(
        ExportError, match=r"node 'globalaveragepool\d+': no C kernel for GlobalMax"
    ):
        read_qdq(path)


def test_symbolic_batch_means_one_but_other_symbols_are_refused(tmp_path):
    path = quantise(OP_NETWORKS["one_dimensional"](), tmp_path, "net")

    def symbolic(axis):
        def change(model):
            dim = model.graph.input[0].type.tensor_type.shape.dim[axis]
            dim.dim_param = "free"

        return change

    assert read_qdq(rewrite(path, symbolic(0))).input
    with pytest.raises(ExportError, match=r"input shape 1x4x\?, expected a batch of 1"):
        read_qdq(rewrite(path, symbolic(2)))


def test_an_output_that_depends_on_nothing_is_refused(tmp_path):
    path = quantise(OP_NETWORKS["residual"](), tmp_path, "net")

    def change(model):
        extra = helper.make_tensor_value_info("extra", TensorProto.FLOAT, (1,))
        model.graph.output.append(extra)

    with pytest.raises(ModelFileError, match="no node writes the output 'extra'"):
        read_qdq(rewrite(path, change))


def test_a_second_input_is_refused(tmp_path):
    path = quantise(OP_NETWORKS["residual"](), tmp_path, "net")

    def change(model):
        extra = helper.make_tensor_value_info("extra", TensorProto.FLOAT, (1, 4))
        model.graph.input.append(extra)

    with pytest.raises(ExportError, match="2 inputs and 1 outputs, expected one input"):
        read_qdq(rewrite(path, change))


def test_output_left_in_float_is_refused_with_its_node(tmp_path):
    path = quantise(OP_NETWORKS["residual"](), tmp_path, "net")

    def change(model):
        model.graph.node.append(
            helper.make_node("Tanh", [model.graph.output[0].name], ["y"], "end")
        )
        model.graph.output[0].name = "y"

    with pytest.raises(ExportError, match=r"node 'end' \(Tanh\) gives the output as float"):
        read_qdq(rewrite(path, change))


def test_difference_of_two_tensors_is_refused_with_its_node(tmp_path):
    net = NetworkBuilder((2, 4, 4))
    entry = net.conv(3, (3, 3))
    net.node("Sub", [net.conv(3, (3, 3)), entry], net.shapes[entry])
    net.classifier(2)
    with pytest.raises(ExportError, match=r"node 'sub\d+' \(Sub\): reads two tensors"):
        read_qdq(quantise(net, tmp_path, "net"))


def test_opsets_whose_limits_are_attributes_are_refused(tmp_path):
    path = quantise(OP_NETWORKS["inverted_bottleneck"](), tmp_path, "net")

    def change(model):
        model.opset_import[0].version = 10

    with pytest.raises(ExportError, match="opset 10, expected 11 or newer"):
        read_qdq(rewrite(path, change))


def test_old_softmax_over_several_axes_is_refused(tmp_path):
    net = NetworkBuilder((2, 4, 4))
    net.conv(3, (3, 3))
    net.node("Softmax", [net.last], net.shapes[net.last], axis=1)
    path = quantise(net, tmp_path, "net")

    def change(model):
        model.opset_import[0].version = 12

    with pytest.raises(ExportError, match=r"\(Softmax\): axis 1 of opset 12 runs over several"):
        read_qdq(rewrite(path, change))


def test_weights_that_are_listed_as_inputs_are_no_inputs(tmp_path):
    path = quantise(OP_NETWORKS["residual"](), tmp_path, "net")
    before = read_qdq(path)

    def change(model):
        for item in model.graph.initializer:
            value = helper.make_tensor_value_info(item.name, item.data_type, item.dims)
            model.graph.input.append(value)

    assert read_qdq(rewrite(path, change)).input == before.input


def test_output_left_as_int8_is_refused_with_its_node(tmp_path):
    path = quantise(OP_NETWORKS["residual"](), tmp_path, "net")

    def change(model):
        last = next(node for node in model.graph.node if model.graph.output[0].name in node.output)
        model.graph.output[0].name = last.input[0]
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8
        model.graph.node.remove(last)

    with pytest.raises(ExportError, match="gives the output as int8, expected DequantizeLinear"):
        read_qdq(rewrite(path, change))


def test_activations_of_16_bits_are_refused_with_what_to_do(tmp_path):
    path = quantise(OP_NETWORKS["residual"](), tmp_path, "net")

    def change(model):
        model.opset_import[0].version = 21
        node = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
        zero = next(item for item in model.graph.initializer if item.name == node.input[2])
        zero.CopyFrom(onnx.numpy_helper.from_array(np.array(3, np.uint16), zero.name))

    with pytest.raises(ExportError, match=r"uint16 activations, expected 8 bits; quantise with"):
        read_qdq(rewrite(path, change))
