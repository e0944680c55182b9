"""Networks on further data: a foreign file against scikit-learn, and what is refused."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from scipy.stats import binomtest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    mean_absolute_error,
    precision_recall_fscore_support,
)

import hwkd
from hwkd.api.subject import Subject
from hwkd.cli.app import main
from hwkd.core.errors import HwkdError, ModelFileError
from hwkd.core.metric import MACRO_F1
from hwkd.core.reading import AS_USUAL
from hwkd.deploy.student_facts import METADATA_KEY
from hwkd.tasks.repeats import content_fingerprint

STEP = {"kind": "normalise", "formula": "", "values": {"mean": [0.0] * 4, "std": [1.0] * 4}}


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
    table = confusion_matrix(labels, values[:, :3].argmax(axis=1))
    assert found.as_dict()["confusion"] == table.tolist()
    precision, recall, f1, given = precision_recall_fscore_support(
        labels, values[:, :3].argmax(axis=1)
    )
    for at, one in enumerate(found.as_dict()["by_class"]):
        assert (one["name"], one["given"]) == (str(at), given[at])
        assert one["scores"] == pytest.approx(
            {"precision": precision[at], "recall": recall[at], "F1": f1[at]}
        )
    ends = binomtest(table.trace(), 90).proportion_ci(method="wilson")
    said = found.as_dict()["intervals"]["accuracy"]
    assert (said["low"], said["high"]) == pytest.approx((ends.low, ends.high))


def test_the_metric_that_a_file_was_chosen_by_comes_first(values, tmp_path, capsys):
    path = write_linear(tmp_path / "m.onnx", np.eye(4)[:, :3], np.zeros(3))
    np.savez(tmp_path / "d.npz", x_test=values, y_test=np.arange(90) % 3)
    pipeline = {"steps": [STEP], "raw_shape": [4, 1], "raw_dtype": "float32",
                "raw_low": -9.0, "raw_high": 9.0}  # fmt: skip
    answer = {"kind": "classes", "labels": ["0", "1", "2"], "mean": [], "std": []}
    model = onnx.load(path)
    said = {"preprocessing": pipeline, "data": {"task": "classify"}, "answer": answer,
            "measured": {"metrics": [MACRO_F1.model_dump()], "scores": {}}}  # fmt: skip
    helper.set_model_props(model, {METADATA_KEY: json.dumps(said)})
    onnx.save(model, path)
    found = hwkd.evaluate(path, data=tmp_path / "d.npz")
    assert [metric.name for metric in found.metrics][:2] == ["macro F1", "accuracy"]
    assert next(iter(found.as_dict()["scores"])) == "macro F1"
    main(["evaluate", str(path), "--data", str(tmp_path / "d.npz")])
    shown = capsys.readouterr().out
    assert shown.index("Macro F1") < shown.index("Accuracy") < shown.index("Each class")
    assert shown.index("Each class") < shown.index("taken for which")


def test_a_foreign_network_of_values_is_scored_in_their_unit(values, tmp_path):
    targets = values @ np.array([1.0, -2.0, 0.5, 0.0]) + values[:, 0] ** 2
    fitted = LinearRegression().fit(values, targets)
    path = write_linear(tmp_path / "m.onnx", fitted.coef_[:, np.newaxis], fitted.intercept_[None])
    np.savez(tmp_path / "d.npz", x_train=values, y_train=targets.astype(np.float32))
    found = hwkd.evaluate(path, data=tmp_path / "d.npz", task="regression")
    expected = mean_absolute_error(targets, fitted.predict(values))
    assert found.scores["mean absolute error"] == pytest.approx(expected, rel=1e-4)


def write_foreign(path, kind=TensorProto.FLOAT, batch="n", ends=(), more=()):
    """Write the sum of two halves of four values, as an exporter of another house may."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["f", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
        *ends,
    ]
    inputs = [helper.make_tensor_value_info(name, kind, [batch, 4, 1]) for name in ("x", *more)]
    output = ends[-1].output[0] if ends else "y"
    outputs = [helper.make_empty_tensor_value_info(output)]
    stored = [
        numpy_helper.from_array(np.array([-1, 4]), "shape"),
        numpy_helper.from_array(np.eye(4, 3, dtype=np.float32), "w"),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path, save_as_external_data=path.stem == "aside", size_threshold=0)
    return path


@pytest.mark.parametrize(
    ("name", "kind", "batch"),
    [("half", TensorProto.FLOAT16, "n"), ("double", TensorProto.DOUBLE, 1),
     ("bytes", TensorProto.INT8, 7), ("aside", TensorProto.FLOAT, "n")],
)  # fmt: skip
def test_every_type_and_batch_that_a_file_fixes_scores_alike(name, kind, batch, tmp_path):
    whole = np.random.default_rng(0).integers(-99, 99, (90, 4))
    labels = np.arange(90) % 3
    np.savez(tmp_path / "d.npz", x_test=whole.astype(np.float32), y_test=labels)
    path = write_foreign(tmp_path / f"{name}.onnx", kind, batch)
    found = hwkd.evaluate(path, data=tmp_path / "d.npz")
    expected = accuracy_score(labels, whole[:, :3].argmax(axis=1))
    assert found.scores["accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(3, 8, 8), (8, 8, 3), (3, 16), (16, 3)])
def test_the_axes_of_data_are_brought_to_the_order_of_the_file(shape, tmp_path):
    random = np.random.default_rng(0)
    pictures, labels = random.normal(size=(60, *shape)).astype(np.float32), np.arange(60) % 3
    np.savez(tmp_path / "d.npz", x_test=pictures, y_test=labels)
    axis = shape.index(3)
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)], "sums",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.array([at + 1 for at in range(len(shape)) if at != axis]),
                                 "axes")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "m.onnx")
    sums = pictures.sum(axis=tuple(at + 1 for at in range(len(shape)) if at != axis))
    found = hwkd.evaluate(tmp_path / "m.onnx", data=tmp_path / "d.npz").scores["accuracy"]
    assert found == pytest.approx(accuracy_score(labels, sums.argmax(axis=1)))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"kind": TensorProto.INT8}, "takes int8, and the values are no whole numbers"),
        ({"more": ("memory",)}, "has the inputs x, memory; expected one"),
        ({"ends": (helper.make_node("Log", ["y"], ["l"]),)}, "gives NaN"),
        ({"ends": (helper.make_node("SequenceConstruct", ["y"], ["s"]),)},
         "output 's' is no array of numbers with a row for each input"),
    ],
)  # fmt: skip
def test_a_foreign_network_without_scores_is_refused(made, says, values, tmp_path):
    np.savez(tmp_path / "d.npz", x_test=values, y_test=np.arange(90) % 3)
    path = write_foreign(tmp_path / "m.onnx", **made)
    with pytest.raises(ModelFileError, match=rf"m\.onnx: .*{says}") as caught:
        hwkd.evaluate(path, data=tmp_path / "d.npz")
    assert "\n" not in str(caught.value)


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
    with pytest.raises(HwkdError, match="has 4 outputs and inputs of 5 values"):
        inputs = np.c_[values, values[:, 0]][:, :, np.newaxis]
        np.savez(tmp_path / "wide.npz", x_train=inputs, y_train=np.arange(90) % 2)
        wide = write_linear(tmp_path / "wide.onnx", np.eye(5)[:, :4], np.zeros(4))
        hwkd.evaluate(wide, data=tmp_path / "wide.npz", task="anomaly")


@pytest.mark.parametrize(("changed", "is_seen"), [(0.0, True), (1.0, False)])
def test_samples_of_the_run_are_known_in_another_order_of_axes(values, changed, is_seen):
    signals = values.reshape(10, 36, 1)
    subject = Subject(
        name="run", path=Path("run"), model=b"", task=None, reading=AS_USUAL,
        record=SimpleNamespace(raw_shape=(1, 36)), content=content_fingerprint(
            [signals.transpose(0, 2, 1)]
        ),
    )  # fmt: skip
    assert subject.has_seen(signals + np.float32(changed)) == is_seen
