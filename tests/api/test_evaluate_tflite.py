"""A .tflite file is scored as the int8 ONNX file that it was made of."""

import numpy as np
import pytest
from support.boxed import write_coco
from support.scenes import write_scenes

import hwkd
from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.core.errors import ConfigError, ModelFileError
from hwkd.deploy.to_tflite import write_tflite
from hwkd.inference import lite_rt
from hwkd.qgraph.read_qdq import read_qdq

pytest.importorskip("ai_edge_litert")


@pytest.fixture
def files(tmp_path):
    """Return a network as ONNX and as .tflite, and data with channels last."""
    net = NetworkBuilder((3, 8, 8))
    net.conv(6, (3, 3), relu="Relu")
    net.classifier(4)
    onnx_file = quantise(net, tmp_path, "net")
    lite = tmp_path / "net.tflite"
    lite.write_bytes(write_tflite(read_qdq(onnx_file), metadata={"who": "somebody else"}))
    random = np.random.default_rng(0)
    inputs = random.normal(size=(60, 8, 8, 3)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x_test=inputs, y_test=np.arange(60) % 4)
    return onnx_file, lite, tmp_path / "d.npz"


def test_a_tflite_file_answers_as_the_onnx_file_that_it_was_made_of(files):
    onnx_file, lite, data = files
    expected, found = (hwkd.evaluate(path, data=data) for path in (onnx_file, lite))
    # TensorFlow Lite rounds twice where ONNX Runtime rounds once.
    assert found.scores["accuracy"] == pytest.approx(expected.scores["accuracy"], abs=0.05)
    differing = np.abs(np.array(found.confusion) - np.array(expected.confusion)).sum()
    assert differing <= 4
    assert (found.task, found.examples, found.prepared) == ("classify", 60, False)


@pytest.mark.parametrize(("task", "outputs"), [("detect", 6), ("count", 2)])
def test_maps_of_a_tflite_file_are_read_with_channels_last(task, outputs, tmp_path):
    net = NetworkBuilder((1, 32, 32))
    net.conv(8, (3, 3), stride=(2, 2), pads=(1, 1, 1, 1))
    net.conv(8, (3, 3), stride=(2, 2), pads=(1, 1, 1, 1))
    net.conv(outputs, (3, 3), stride=(2, 2), pads=(1, 1, 1, 1), relu="")
    onnx_file = quantise(net, tmp_path, "net")
    lite = tmp_path / "net.tflite"
    lite.write_bytes(write_tflite(read_qdq(onnx_file), metadata={}))
    data = write_coco(tmp_path / "boxed", examples=20)
    expected, found = (hwkd.evaluate(path, data=data, task=task) for path in (onnx_file, lite))
    assert expected.scores["count error"] > 0
    assert found.scores == pytest.approx(expected.scores, rel=0.1, abs=0.03)
    scenes = write_scenes(tmp_path / "scenes", examples=9)
    with pytest.raises(ModelFileError, match=r"gives outputs of shape .*; expected class maps, "):
        hwkd.evaluate(onnx_file, data=scenes, task="segment")


def test_texts_in_the_file_are_read(files):
    _, path, _ = files
    model = lite_rt.LiteRtModel(path.read_bytes(), name="net")
    assert model.metadata() == {"who": "somebody else"}
    assert model.input_shape == (8, 8, 3)


@pytest.mark.parametrize("kept", [8, 200, -40])
def test_a_damaged_file_is_one_line(files, kept):
    _, path, data = files
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelFileError, match=r"net\.tflite: ") as caught:
        hwkd.evaluate(path, data=data)
    assert "\n" not in str(caught.value)


def test_without_litert_the_extra_is_named(files, monkeypatch):
    _, path, data = files
    monkeypatch.setattr(lite_rt, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"hwkd\[tflite\]"):
        hwkd.evaluate(path, data=data)
