"""The int8 file: really integer, deterministic, close to float, clear when it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from hwkd.core.errors import ExportError, ModelFileError
from hwkd.core.layers_builder import LayersBuilder
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_int8 import assert_int8, quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.nn.build import build_module


@pytest.fixture
def float_path(tmp_path: Path) -> Path:
    builder = LayersBuilder((1, 8, 8))
    x = builder.conv("input", "stem", 8, kernel=3, activation="relu")
    x = builder.squeeze_excite(x, "se")
    x = builder.add(x, builder.conv(x, "mix", 8, activation="hard_swish"), "sum")
    builder.classifier(x, 4)
    layers = builder.build()
    export_onnx(build_module(layers, seed=0).eval(), layers, tmp_path / "float.onnx")
    return tmp_path / "float.onnx"


@pytest.fixture
def samples() -> np.ndarray:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(100, 1, 8, 8, generator=generator).numpy()


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_outputs_stay_close_to_float(float_path: Path, samples, method, tmp_path: Path) -> None:
    quantise_int8(float_path, tmp_path / "int8.onnx", samples, method=method)
    expected = predict(open_session(float_path), samples)
    outputs = predict(open_session(tmp_path / "int8.onnx"), samples)
    assert np.corrcoef(outputs.ravel(), expected.ravel())[0, 1] > 0.99


def test_weights_are_signed_bytes_with_one_scale_for_each_channel(
    float_path: Path, samples, tmp_path: Path
) -> None:
    quantise_int8(float_path, tmp_path / "int8.onnx", samples)
    stored = {t.name: t for t in onnx.load(tmp_path / "int8.onnx").graph.initializer}
    for layer, channels in (("stem", 8), ("se_gate", 8), ("logits", 4)):
        assert stored[f"{layer}.weight_quantized"].data_type == TensorProto.INT8
        assert list(stored[f"{layer}.weight_scale"].dims) == [channels]
        assert stored[f"{layer}.bias_quantized"].data_type == TensorProto.INT32
    assert stored["input_zero_point"].data_type == TensorProto.INT8


def test_onnx_runtime_runs_every_multiplication_on_integers(
    float_path: Path, samples, tmp_path: Path
) -> None:
    quantise_int8(float_path, tmp_path / "int8.onnx", samples)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "trace")
    session = ort.InferenceSession(str(tmp_path / "int8.onnx"), options)
    session.run(None, {"input": samples})
    events = json.loads(Path(session.end_profiling()).read_text())
    ran = {event["args"]["op_name"] for event in events if event.get("cat") == "Node"}
    assert {"QLinearConv", "QGemm", "QLinearAdd"} <= ran
    assert not ran & {"Conv", "FusedConv", "Gemm", "MatMul", "Add"}


def test_integer_kernels_agree_with_the_file_computed_step_by_step(
    float_path: Path, samples, tmp_path: Path
) -> None:
    quantise_int8(float_path, tmp_path / "int8.onnx", samples)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    reference = ort.InferenceSession(str(tmp_path / "int8.onnx"), options)
    expected = reference.run(None, {"input": samples})[0]
    outputs = predict(open_session(tmp_path / "int8.onnx"), samples)
    one_step = np.diff(np.unique(expected)).min()
    # A sum that lies between two steps may round either way.
    np.testing.assert_allclose(outputs, expected, atol=2.01 * one_step)


def test_same_input_gives_the_same_bytes(float_path: Path, samples, tmp_path: Path) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    quantise_int8(float_path, first, samples)
    quantise_int8(float_path, second, samples)
    assert first.read_bytes() == second.read_bytes()


def test_quantising_says_nothing(float_path: Path, samples, tmp_path: Path, capfd, caplog) -> None:
    quantise_int8(float_path, tmp_path / "int8.onnx", samples)
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_clipped_ranges_ignore_an_outlier(float_path: Path, samples, tmp_path: Path) -> None:
    samples[0, 0, 0, 0] = 1000.0
    scales = {}
    for method in ("minmax", "percentile"):
        quantise_int8(float_path, tmp_path / "int8.onnx", samples, method=method)
        stored = onnx.load(tmp_path / "int8.onnx").graph.initializer
        scale = next(tensor for tensor in stored if tensor.name == "input_scale")
        scales[method] = float(onnx.numpy_helper.to_array(scale))
    assert scales["minmax"] == pytest.approx((1000 - samples.min()) / 255, rel=1e-4)
    assert scales["percentile"] < scales["minmax"] / 2


@pytest.mark.parametrize("calibration", [np.zeros((0, 1, 8, 8)), np.full((4, 1, 8, 8), np.nan)])
def test_useless_calibration_is_refused(float_path: Path, calibration, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="calibration has"):
        quantise_int8(float_path, tmp_path / "int8.onnx", calibration.astype(np.float32))
    assert not (tmp_path / "int8.onnx").exists()


def test_a_float_operator_is_named() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["w_float"], name="dequantise"),
        helper.make_node("Conv", ["x", "w_float"], ["y"], name="left_in_float"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 4, 4])
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]))
    with pytest.raises(ExportError, match="student: Conv left_in_float reads x as float"):
        assert_int8(model, name="student")


def test_a_file_that_is_no_model_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelFileError, match=r"broken\.onnx: ONNX Runtime cannot load it"):
        open_session(tmp_path / "broken.onnx")


def test_predict_obeys_a_fixed_batch(float_path: Path, samples, tmp_path: Path) -> None:
    model = onnx.load(float_path)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, tmp_path / "fixed.onnx")
    fixed = predict(open_session(tmp_path / "fixed.onnx"), samples[:5])
    np.testing.assert_allclose(fixed, predict(open_session(float_path), samples[:5]), atol=1e-6)
