"""Int8 files as many tools write them: computed exactly, or refused with the true reason."""

import random
import re
import shutil
import warnings

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from benchmarks.accuracy.qdq_forms import check
from benchmarks.lib.qdq_files import FORMS
from benchmarks.lib.qdq_writers import (
    attention,
    by_hand,
    by_onnxruntime,
    image,
    means,
    signal,
    with_tail,
)
from benchmarks.robustness.onnx_mutants import mutant
from hwkd.core.errors import ExportError, HwkdError
from hwkd.deploy.to_tflite import write_tflite
from hwkd.qgraph.float_tail import without_float_tail
from hwkd.qgraph.ir import Conv, FullyConnected, Pool, Table, View
from hwkd.qgraph.read_qdq import read_qdq

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))),
    reason="no C compiler on PATH; apt-get install gcc",
)
QUICK = {
    "ort/flat softmax left float", "ort/largest class left float", "edit/logits and float softmax",
    "ort/uint8 activations and weights", "ort/asymmetric int8 weights, per channel",
    "ort/uint8 symmetric weights", "ort/contrib operators", "ort/over time, uint8", "ort/means",
    "brevitas/clips", "aimet/uint8 weights around 128", "torch/transposed linear weights",
    "edit/read with another scale", "edit/no zero points", "edit/open batch", "edit/same padding",
    "edit/computed amounts of a pad", "edit/a choice that is made",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet_quantiser():
    """ONNX Runtime's quantiser warns of what the forms ask it for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@needs_compiler
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK or form.refusal else pytest.mark.slow)
        for name, form in FORMS.items()
    ],
)
def test_a_form_is_exact_or_refused_with_its_reason(name, tmp_path):
    row = check(name, FORMS[name], tmp_path, inputs=4)
    assert row.fault == ""
    assert bool(row.refused) == bool(FORMS[name].refusal)
    assert row.refused or row.values > 0


def constants_of(path, change):
    """Rewrite the constants of a file: name -> array."""
    model = onnx.load(path)
    arrays = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    changed = change(arrays)
    for item in model.graph.initializer:
        if item.name in changed:
            item.CopyFrom(numpy_helper.from_array(np.asarray(changed[item.name]), item.name))
    onnx.save(model, path)
    return path


def weighted(path):
    return [op for op in read_qdq(path).ops if isinstance(op, Conv | FullyConnected)]


def test_a_bias_of_zeros_may_have_any_scale(tmp_path):
    path = by_hand(tmp_path)
    constants_of(path, lambda a: {"b_i": 0 * a["b_i"], "b_s": 0 * a["b_s"] + np.float32(7)})
    assert not weighted(path)[0].bias.any()


@pytest.mark.parametrize("exponent", [60, -60])
def test_activations_of_absurd_scales_are_refused_by_node(exponent, tmp_path):
    path = by_hand(tmp_path)
    constants_of(path, lambda a: {"logits_s": np.float32(2.0**exponent)})
    with pytest.raises(ExportError, match=r"node 'QuantizeLinear_logits_q' .*for activations"):
        read_qdq(path)


def test_a_channel_without_weights_may_have_a_tiny_scale(tmp_path):
    path = by_hand(tmp_path, float_bias=True)
    constants_of(
        path,
        lambda a: {
            "w_s": np.r_[np.float32(1e-34), a["w_s"][1:]],
            "b": np.r_[a["b"][:1] * 0, a["b"][1:]],
        },
    )
    assert weighted(path)[0].weight_scales[0] == np.float32(1e-34)


def test_a_bias_in_another_unit_is_refused_by_node_with_both_scales(tmp_path):
    path = by_hand(tmp_path)
    constants_of(path, lambda a: {"c_s": a["c_s"] * np.float32(1.25)})
    with pytest.raises(
        ExportError, match=r"node 'Gemm_logits' \(Gemm\): its bias has scale .* expected input"
    ):
        read_qdq(path)


def test_a_float_bias_comes_to_the_nearest_units(tmp_path):
    path = by_hand(tmp_path, float_bias=True)
    arrays = {item.name: numpy_helper.to_array(item) for item in onnx.load(path).graph.initializer}
    op = weighted(path)[0]
    exact = arrays["b"].astype(np.float64) / (0.03 * arrays["w_s"].astype(np.float64))
    assert np.abs(op.bias - exact).max() <= 0.5 + 1e-3


def test_unsigned_activations_are_the_same_numbers_128_lower(tmp_path):
    graph = read_qdq(by_hand(tmp_path, unsigned=True))
    assert graph.tensors["relu_q"].zero_point == -128
    assert graph.tensors["relu_q"].file_offset == 128
    assert graph.tensors["input_q"].zero_point == 2


def test_weights_quantised_in_the_graph_are_the_stored_ones(tmp_path):
    stored = weighted(by_hand(tmp_path))
    computed = weighted(by_hand(tmp_path, float_weights=True))
    for one, other in zip(stored, computed, strict=True):
        assert np.array_equal(one.weights, other.weights)


def test_weights_beyond_8_bits_around_their_zero_point_keep_it_and_have_no_tflite_form(tmp_path):
    path = by_hand(tmp_path, float_bias=True)
    zero = np.int8(-100)
    constants_of(path, lambda a: {"v_i": np.int8(120) - 0 * a["v_i"], "v_z": zero + 0 * a["v_z"]})
    op = weighted(path)[1]
    assert op.weight_zeros.tolist() == [-100] * 5
    assert (op.weights.astype(int) - op.weight_zeros[:, None] == 220).all()
    with pytest.raises(ExportError, match=r"node 'Gemm_logits': a zero point of weights .*QInt8"):
        write_tflite(read_qdq(path))


def test_a_convolution_over_time_is_one_over_planes_of_height_1(tmp_path):
    graph = read_qdq(by_onnxruntime(signal, tmp_path, per_channel=True))
    first = next(op for op in graph.ops if isinstance(op, Conv))
    assert first.weights.shape == (8, 3, 1, 5)
    assert (first.stride, first.pads) == ((1, 2), (0, 2, 0, 2))
    pools = [op for op in graph.ops if isinstance(op, Pool)]
    assert [op.kernel for op in pools] == [(1, 2), (1, 2), (1, 3)]
    assert any(isinstance(op, View) for op in graph.ops)


def test_an_output_without_a_batch_is_refused_by_name(tmp_path):
    path = by_onnxruntime(means, tmp_path)
    model = onnx.load(path)
    mean = next(node for node in model.graph.node if node.op_type == "ReduceMean")
    last = next(node for node in model.graph.node if model.graph.output[0].name in node.output)
    scales = last.input[1:]
    kept = [
        onnx.helper.make_node("ReduceMean", [mean.input[0]], ["mean"], "all", keepdims=0),
        onnx.helper.make_node("QuantizeLinear", ["mean", *scales], ["steps"], "steps"),
        onnx.helper.make_node("DequantizeLinear", ["steps", *scales], ["value"], "value"),
    ]
    model.graph.node.extend(kept)
    model.graph.output[0].name = "value"
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    with pytest.raises(ExportError, match=r"output 'value' of shape \[\], expected a first axis"):
        read_qdq(path)


def test_tensors_called_like_those_of_a_table_change_nothing(tmp_path):
    """A table is computed by a small network of its own, whose tensors are x and y."""
    path = by_onnxruntime(attention, tmp_path)
    model = onnx.load(path)
    sigmoid = next(node for node in model.graph.node if node.op_type == "Sigmoid")
    before = [op.table for op in read_qdq(path).ops if isinstance(op, Table)]
    for old, new in ((sigmoid.input[0], "q"), (sigmoid.output[0], "x")):
        for node in model.graph.node:
            for ends in (node.input, node.output):
                for position, name in enumerate(ends):
                    if name == old:
                        ends[position] = new
    onnx.save(model, path)
    after = [op.table for op in read_qdq(path).ops if isinstance(op, Table)]
    assert len(before) == 2
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_what_is_cut_off_behind_the_integers_is_named_and_the_rest_is_the_network(tmp_path):
    path = with_tail(["Flatten", "Softmax"], tmp_path)
    whole = read_qdq(by_onnxruntime(image, tmp_path))
    with_tail(["Flatten", "Softmax"], tmp_path)
    with without_float_tail(path) as (shorter, notes):
        graph = read_qdq(shorter)
    assert [type(op) for op in graph.ops] == [type(op) for op in whole.ops]
    assert list(graph.outputs.values()) == list(whole.outputs.values())
    (note,) = notes
    assert "'last_Flatten' (Flatten), 'last_Softmax' (Softmax)" in note
    with without_float_tail(by_onnxruntime(image, tmp_path)) as given:
        assert given == (path, ())


def test_an_error_about_a_shorter_file_names_the_given_one(tmp_path):
    path = with_tail(["Softmax"], tmp_path, options={"nodes_to_exclude": ["conv0"]})
    with (
        pytest.raises(ExportError, match=f"^{re.escape(str(path))}: node 'conv0'"),
        without_float_tail(path) as (shorter, _),
    ):
        assert shorter != path
        read_qdq(shorter)


def test_a_float_tail_of_a_damaged_file_is_left_to_the_reader(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no network")
    with without_float_tail(path) as given:
        assert given == (path, ())


@pytest.mark.slow
def test_mutants_are_read_or_refused_in_one_line(tmp_path):
    sources = [
        by_hand(tmp_path, clips=True, float_weights=True).read_bytes(),
        by_onnxruntime(signal, tmp_path).read_bytes(),
    ]
    path = tmp_path / "mutant.onnx"
    outcomes = set()
    for seed in range(120):
        path.write_bytes(mutant(sources[seed % 2], random.Random(seed)))
        try:
            read_qdq(path)
            outcomes.add("read")
        except HwkdError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
