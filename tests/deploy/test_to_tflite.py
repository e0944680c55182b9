"""The .tflite form of an int8 network: real weights, and what TensorFlow Lite makes of them."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from support.op_networks import OP_NETWORKS, linear_attention, pooling

from benchmarks.lib.c_networks import MLPERF_TINY, NetworkBuilder, quantise
from hwkd.core.errors import ExportError
from hwkd.deploy.tflite_check import (
    check_tflite,
    compare_with_c,
    installed,
    run_tflite,
    seeded_steps,
)
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_tflite import write_tflite
from hwkd.deploy.toolchain import host_compiler
from hwkd.qgraph.ir import Conv, FullyConnected, Pad, QuantGraph, QuantTensor, Table
from hwkd.qgraph.read_qdq import read_qdq
from hwkd.qgraph.tflite_rounding import table_form


def gated() -> NetworkBuilder:
    """Squeeze-excite as the search spaces have it: hard sigmoid relu6(x + 3) / 6."""
    net = NetworkBuilder((3, 10, 6))
    features = net.conv(12, (3, 3), relu="HardSwish")
    net.global_average()
    net.conv(4, (1, 1))
    net.conv(12, (1, 1), relu="")
    gate = net.node("HardSigmoid", [net.last], net.shapes[net.last], alpha=1 / 6, beta=0.5)
    net.mul(features, gate)
    net.conv(5, relu="Relu6")
    net.classifier(3)
    return net


# Sigmoid and the like, a hard sigmoid of another slope, a softmax, and scales beyond 32 bits.
REFUSED = {
    "activations", "squeeze_excite", "softmax_output", "almost_constant", "scalar_constants",
}  # fmt: skip
NETWORKS = OP_NETWORKS | MLPERF_TINY | {"gated": gated}
RUNNABLE = sorted(set(NETWORKS) - REFUSED - set(MLPERF_TINY))
needs_interpreters = pytest.mark.skipif(
    len(installed()) < 2 or host_compiler() is None,
    reason='no C compiler or interpreters; pip install "hwkd[tflite]"',
)


@pytest.mark.parametrize("name", ["depthwise_shapes", "grouped_convolutions", "one_dimensional"])
def test_the_file_holds_the_networks_own_weights_and_scales(name, tmp_path):
    graph = read_qdq(quantise(OP_NETWORKS[name](), tmp_path, name))
    data = write_tflite(graph)
    assert data[4:8] == b"TFL3"
    weighted = [op for op in graph.ops if isinstance(op, Conv | FullyConnected)]
    assert weighted
    for op in weighted:
        stored = op.weights
        if isinstance(op, Conv):
            is_depthwise = op.groups == graph.tensors[op.inputs[0]].shape[1]
            stored = stored.transpose((1, 2, 3, 0) if is_depthwise else (0, 2, 3, 1))
        assert stored.tobytes() in data, op.name
        assert op.bias.tobytes() in data, op.name
        assert op.weight_scales.tobytes() in data, op.name


def test_the_same_network_gives_the_same_bytes(tmp_path):
    graph = read_qdq(quantise(linear_attention(), tmp_path, "attention"))
    assert write_tflite(graph) == write_tflite(graph)


def test_a_border_of_another_value_is_refused_by_name():
    tensors = {
        name: QuantTensor(name=name, shape=shape, scale=np.float32(0.5), zero_point=-128)
        for name, shape in (("x", (1, 2, 4, 4)), ("y", (1, 2, 6, 6)))
    }
    pad = Pad(name="frame", inputs=("x",), output="y", before=(0, 0, 1, 1), value=7)
    with pytest.raises(ExportError, match="node 'frame': a border of another value than 0"):
        write_tflite(QuantGraph(ops=(pad,), tensors=tensors, input="x", outputs={"y": "y"}))


def compare(name, folder, count=32):
    model = quantise(NETWORKS[name](), folder, name)
    project = build_project(model, rounding="tflite")
    steps = seeded_steps(project, count)
    found = compare_with_c(write_tflite(read_qdq(model)), project, steps)
    return {item.interpreter: item for item in found}


@pytest.mark.slow
@needs_interpreters
@pytest.mark.parametrize("name", RUNNABLE)
def test_tflm_and_the_c_compute_the_same(name, tmp_path):
    found = compare(name, tmp_path)["tflite-micro"]
    assert found.inputs == 32
    assert found.outputs > 0
    assert found.mismatches == 0


@pytest.mark.slow
@needs_interpreters
@pytest.mark.parametrize("name", sorted(MLPERF_TINY))
def test_tflm_and_the_c_compute_the_same_for_mlperf_shapes(name, tmp_path):
    assert compare(name, tmp_path, count=8)["tflite-micro"].mismatches == 0


@needs_interpreters
@pytest.mark.parametrize("name", ["image_output", "odd_convolutions", "gated", "linear_attention"])
def test_litert_differs_by_the_one_rounding_of_its_last_layer(name, tmp_path):
    found = compare(name, tmp_path)["litert"]
    assert found.max_lsb <= 1
    assert found.mismatches <= found.outputs * 0.02
    if name == "image_output":
        assert found.mismatches == 0


def checked(graph_of, reference, count=16):
    project = build_project(graph_of, rounding="tflite")
    data = write_tflite(read_qdq(graph_of))
    return check_tflite(data, reference, project, seeded_steps(project, count))


@needs_interpreters
def test_layers_are_held_against_onnx_runtime_within_double_rounding(tmp_path):
    model = quantise(OP_NETWORKS["residual"](), tmp_path, "residual")
    found = checked(model, model)
    assert found.layers is not None
    assert found.layers.faults == ()
    assert found.layers.max_lsb <= 1
    assert found.layers.values > 0
    assert {item.interpreter for item in found.against_onnxruntime} == set(installed())


@needs_interpreters
def test_a_layer_of_another_network_is_a_fault_by_name(tmp_path):
    """The reference is ONNX Runtime with one weight changed: what we wrote is no longer right."""
    model = quantise(OP_NETWORKS["residual"](), tmp_path, "residual")
    changed = onnx.load(model)
    conv = next(node for node in changed.graph.node if node.op_type == "Conv")
    source = next(node for node in changed.graph.node if conv.input[1] in node.output).input[0]
    weights = next(item for item in changed.graph.initializer if item.name == source)
    values = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(-values, weights.name))
    other = tmp_path / "other.onnx"
    onnx.save(changed, other)
    found = checked(model, other)
    assert found.layers is not None
    assert len(found.layers.faults) == 1
    assert f"node '{conv.name}'" in found.layers.faults[0]
    assert all(item.mismatches == 0 for item in found.against_c if item.interpreter != "litert")


def limited(low, high):
    source = QuantTensor(name="x", shape=(1, 256), scale=np.float32(0.1), zero_point=4)
    table = np.clip(np.arange(-128, 128), low, high).astype(np.int8)
    op = Table(name="f", inputs=("x",), output="y", table=table)
    tensors = {"x": source, "y": replace(source, name="y")}
    return table, QuantGraph(ops=(op,), tensors=tensors, input="x", outputs={"y": "y"})


@needs_interpreters
@pytest.mark.parametrize(("low", "high"), [(-127, 127), (-128, 90), (-8, 7)])
@pytest.mark.parametrize("interpreter", ["tflite-micro", "litert"])
def test_limits_of_integers_are_kept_to_the_step(low, high, interpreter):
    table, graph = limited(low, high)
    inputs = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    assert np.array_equal(run_tflite(write_tflite(graph), inputs, interpreter)[0], table)


def gate(real):
    return np.clip(real / 6 + 0.5, 0, 1)


@needs_interpreters
@pytest.mark.parametrize("form", ["quantize", "relu", "hard_swish", "hard_sigmoid", "sigmoid"])
@pytest.mark.parametrize("scale", [0.004, 0.0235, 0.11])
def test_tables_are_those_of_tflm(form, scale):
    """All 256 inputs at once."""
    source = QuantTensor(name="x", shape=(1, 256), scale=np.float32(scale), zero_point=-11)
    target = replace(source, name="y", scale=np.float32(scale * 0.7), zero_point=3)
    if form.endswith("sigmoid"):
        scale = 1 / 256 if form == "sigmoid" else 1 / 255
        target = replace(source, name="y", scale=np.float32(scale), zero_point=-128)
    real = (np.arange(-128, 128) + 11.0) * float(source.scale)
    ideal = {
        "quantize": real, "relu": np.maximum(real, 0), "hard_swish": real * gate(real),
        "hard_sigmoid": gate(real), "sigmoid": 1 / (1 + np.exp(-real)),
    }[form]  # fmt: skip
    steps = np.rint(ideal / float(target.scale)) + target.zero_point
    table = np.clip(steps, -128, 127).astype(np.int8)
    named = table_form(table, source, target)
    assert named is not None
    op = Table(name="f", inputs=("x",), output="y", table=table)
    tensors = {"x": source, "y": target}
    data = write_tflite(QuantGraph(ops=(op,), tensors=tensors, input="x", outputs={"y": "y"}))
    inputs = np.arange(-128, 128).astype(np.int8).reshape(1, 256)
    assert np.array_equal(run_tflite(data, inputs, "tflite-micro")[0], named[1])


def test_a_function_without_an_operator_is_refused_by_name(tmp_path):
    graph = read_qdq(quantise(OP_NETWORKS["activations"](), tmp_path, "activations"))
    with pytest.raises(ExportError, match=r"node 'sigmoid1': a function other than ReLU"):
        write_tflite(graph)
    assert write_tflite(graph, runs=False)[4:8] == b"TFL3"


def test_a_softmax_in_another_scale_is_refused_by_name(tmp_path):
    graph = read_qdq(quantise(OP_NETWORKS["softmax_output"](), tmp_path, "softmax"))
    with pytest.raises(ExportError, match=r"node 'softmax5': .*leave it out"):
        write_tflite(graph)


def test_windows_that_tensorflow_cannot_name_are_padded_first(tmp_path):
    """Pooling and convolutions of the network use symmetric and one-sided padding."""
    graph = read_qdq(quantise(pooling(), tmp_path, "pooling"))
    names = [op.name for op in graph.ops if any(getattr(op, "pads", ()))]
    data = write_tflite(graph)
    assert any(f"{name}/padded".encode() in data for name in names)


def test_a_stride_beyond_32_bits_is_refused(tmp_path):
    graph = read_qdq(quantise(OP_NETWORKS["depthwise_shapes"](), tmp_path, "wide"))
    first = next(op for op in graph.ops if isinstance(op, Conv))
    wide = replace(first, stride=(2**31, 2**31))
    ops = tuple(wide if op is first else op for op in graph.ops)
    with pytest.raises(ExportError, match="2147483648 does not fit the 32 bits"):
        write_tflite(replace(graph, ops=ops))
