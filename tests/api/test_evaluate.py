"""Networks on further data: a foreign file against scikit-learn, and what is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, mean_absolute_error

import hwkd
from hwkd.core.errors import HwkdError, ModelFileError


def write_linear(path, weights, bias):
    """Write outputs = inputs @ weights + bias for signals of one moment."""
    features, outputs = weights.shape
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", features, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(weights.astype(np.float32), "w"),
         numpy_helper.from_array(bias.astype(np.float32), "b")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture
def values():
    random = np.random.default_rng(0)
    return random.normal(size=(90, 4)).astype(np.float32)


def test_a_foreign_network_of_classes_is_scored_on_values_as_they_are(values, tmp_path):
    weights, bias = np.eye(4)[:, :3], np.zeros(3)
    labels = np.array([1, 2, 0])[np.arange(90) % 3]
    path = write_linear(tmp_path / "m.onnx", weights, bias)
    np.savez(tmp_path / "d.npz", x_test=values, y_test=labels)  # there is nothing to train
    found = hwkd.evaluate(path, data=tmp_path / "d.npz")
    expected = accuracy_score(labels, values[:, :3].argmax(axis=1))
    assert found.scores["accuracy"] == pytest.approx(expected)
    assert (found.task, found.examples, found.prepared) == ("classify", 90, False)
    assert [metric.name for metric in found.metrics] == list(found.scores)


def test_a_foreign_network_of_values_is_scored_in_their_unit(values, tmp_path):
    targets = values @ np.array([1.0, -2.0, 0.5, 0.0]) + values[:, 0] ** 2
    fitted = LinearRegression().fit(values, targets)
    path = write_linear(tmp_path / "m.onnx", fitted.coef_[:, np.newaxis], fitted.intercept_[None])
    np.savez(tmp_path / "d.npz", x_train=values, y_train=targets.astype(np.float32))
    found = hwkd.evaluate(path, data=tmp_path / "d.npz", task="regression")
    expected = mean_absolute_error(targets, fitted.predict(values))
    assert found.scores["mean absolute error"] == pytest.approx(expected, rel=1e-4)


def test_what_cannot_be_scored_is_one_line(values, tmp_path):
    path = write_linear(tmp_path / "m.onnx", np.eye(4), np.zeros(4))
    np.savez(tmp_path / "d.npz", x_train=values, y_train=np.arange(90) % 3)
    with pytest.raises(HwkdError, match="has 4 outputs and the data 3 classes"):
        hwkd.evaluate(path, data=tmp_path / "d.npz")
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match=r"no\.onnx: no ONNX model"):
        hwkd.evaluate(tmp_path / "no.onnx", data=tmp_path / "d.npz")
    with pytest.raises(HwkdError, match="no such file"):
        hwkd.evaluate(tmp_path / "gone.onnx", data=tmp_path / "d.npz")
