"""The .tflite form of an int8 network: real weights, and outputs as ONNX Runtime gives them."""

import numpy as np
import pytest
from c_networks import quantise
from op_networks import OP_NETWORKS, linear_attention, pooling

from hwkd.core.errors import ExportError
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_c.export import quantise_values
from hwkd.deploy.to_c.ir import Conv, FullyConnected, Pad, QuantGraph, QuantTensor
from hwkd.deploy.to_c.read_qdq import read_qdq
from hwkd.deploy.to_tflite import write_tflite

# A table is written as HARD_SWISH, and TFLM's softmax takes one output scale only.
COSTED_ONLY = {"activations", "squeeze_excite", "softmax_output"}
RUNNABLE = sorted(set(OP_NETWORKS) - COSTED_ONLY)


def channels_last(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1) if values.ndim == 4 else values)


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
        write_tflite(QuantGraph(ops=(pad,), tensors=tensors, input="x", output="y"))


@pytest.mark.parametrize("name", RUNNABLE)
def test_tflm_computes_what_onnx_runtime_computes(name, tmp_path):
    """Rounding of accumulators differs between the two, hence one step."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime")
    model = quantise(OP_NETWORKS[name](), tmp_path, name)
    graph = read_qdq(model)
    source, target = graph.tensors[graph.input], graph.tensors[graph.output]
    steps = np.random.default_rng(1).integers(-128, 128, source.shape).astype(np.int8)
    real = (steps.astype(np.float32) - source.zero_point) * source.scale
    expected = quantise_values(predict(open_session(model), real)[0], target).reshape(target.shape)
    interpreter = runtime.Interpreter.from_bytes(write_tflite(graph))
    interpreter.set_input(channels_last(steps), 0)
    interpreter.invoke()
    found = interpreter.get_output(0).astype(int)
    assert np.abs(found - channels_last(expected)).max() <= 1


def test_windows_that_tensorflow_cannot_name_are_padded_first(tmp_path):
    """Pooling and convolutions of the network use symmetric and one-sided padding."""
    graph = read_qdq(quantise(pooling(), tmp_path, "pooling"))
    names = [op.name for op in graph.ops if any(getattr(op, "pads", ()))]
    data = write_tflite(graph)
    assert any(f"{name}/padded".encode() in data for name in names)
