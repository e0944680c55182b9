"""Detectors of somebody else: boxes of any form become outputs that are decoded into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwkd.core.errors import TeacherError
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.tasks.boxes_head import boxes_head
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.teacher_detector import DetectorTeacher, load_detector

HEAD = boxes_head(("cat", "dog"), most=2)
# In pixels of the detector's 64x64; the data's pictures have 32x32.
BOXES = np.array([[16, 8, 48, 40], [0, 0, 16, 16], [40, 40, 60, 60]], np.float32)
SCORES = np.array([[0.1, 0.9], [0.01, 0.02], [0.7, 0.2]], np.float32)
ADAPTER = """
model = "detector.onnx"
boxes = "where"
scores = "how_sure"
form = "xyxy"
units = "pixels"
classes = ["dog", "cat"]
"""


def _pipeline() -> PipelineRecord:
    return PipelineRecord.model_validate(
        {
            "steps": [
                {
                    "kind": "normalise", "formula": "(x - mean) / std",
                    "values": {"mean": [0.5], "std": [0.25]},
                }
            ],
            "raw_shape": [1, 32, 32], "raw_dtype": "float32", "raw_low": 0.0, "raw_high": 1.0,
        }
    )  # fmt: skip


def _write(
    folder: Path, adapter: str = ADAPTER, boxes: np.ndarray = BOXES, *, channels: int = 3
) -> Path:
    """Write a detector that sees the same in every picture, and its adapter."""
    shown = helper.make_tensor_value_info("shown", TensorProto.FLOAT, ["n", channels, 64, 64])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("where", "how_sure")
    ]
    nodes = [
        helper.make_node("ReduceMean", ["shown", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Unsqueeze", ["nothing", "behind"], ["column"]),
        helper.make_node("Add", ["column", "boxes"], ["where"]),
        helper.make_node("Add", ["column", "scores"], ["how_sure"]),
    ]
    constants = {
        "axes": np.array([1, 2, 3]), "zero": np.float32(0), "behind": np.array([1, 2]),
        "boxes": boxes[None], "scores": SCORES[None],
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "detector", [shown], outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "detector.onnx")
    path = folder / "detector.toml"
    path.write_text(adapter)
    return path


def _open(path: Path) -> DetectorTeacher:
    return load_detector(path, input_shape=(1, 32, 32), head=HEAD, pipeline=_pipeline())


def _seen(path: Path) -> np.ndarray:
    inputs = np.random.default_rng(0).normal(size=(3, 1, 32, 32)).astype(np.float32)
    outputs = _open(path).logits(inputs)
    assert outputs.shape == (3, 6, 4, 4)
    return HEAD.answers(outputs, inputs)


def test_its_boxes_are_decoded_again_with_classes_by_name(tmp_path):
    found = _seen(_write(tmp_path))
    for picture in found:
        # Its second class is cat, the data's first; half the size; the doubted box is left out.
        np.testing.assert_allclose(picture[0], [0, 0.9, 8, 4, 24, 20], atol=0.1)
        np.testing.assert_allclose(picture[1], [1, 0.7, 20, 20, 30, 30], atol=0.1)
        # Cells around the middles follow with less.
        assert (picture[2:, 1] < 0.7).all()


@pytest.mark.parametrize(
    ("form", "of"),
    [
        ("xywh", lambda b: np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], 1)),
        ("cxcywh", lambda b: np.concatenate([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1)),
    ],
)
@pytest.mark.parametrize("units", ["pixels", "ratio"])
def test_every_form_of_box_means_the_same(tmp_path, form, of, units):
    text = ADAPTER.replace('"xyxy"', f'"{form}"').replace('"pixels"', f'"{units}"')
    boxes = of(BOXES) / (64 if units == "ratio" else 1)
    np.testing.assert_allclose(
        _seen(_write(tmp_path, text, boxes))[0, 0], [0, 0.9, 8, 4, 24, 20], atol=0.1
    )


@pytest.mark.parametrize(
    ("given", "instead", "said"),
    [
        ('form = "xyxy"', 'form = "yxyx"', r"form: Input should be 'xyxy', .* given 'yxyx'; an"),
        ('boxes = "where"', "", r"boxes: Field required; an adapter is a TOML file with model"),
        (
            '"where"',
            '"dets"',
            r"boxes = 'dets' is no output of detector.onnx, which has where, how",
        ),
        (
            '["dog", "cat"]',
            '["car"]',
            r"classes car are none of the data's \(cat, dog\); name them",
        ),
        ('"detector.onnx"', '"other.onnx"', r"model other.onnx: no such file beside it"),
        ('"detector.onnx"', '"../a.onnx"', r"expected the name of an ONNX file beside it"),
        ("units", "units =", r"detector.toml: .*; give a TOML file with model"),
        ("[", 'input = "sepia"\nclasses = [', "input"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, given, instead, said):
    text = ADAPTER.replace(given, instead, 1)
    if "sepia" in text:
        text = ADAPTER + 'input = "sepia"\n'
    with pytest.raises(TeacherError, match=said) as caught:
        _open(_write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_outputs_of_another_shape_are_refused(tmp_path):
    text = ADAPTER.replace('["dog", "cat"]', '["dog", "cat", "cow"]')
    with pytest.raises(
        TeacherError, match=r"how_sure \(3, 3, 2\); expected .*\(3, 3, 3\); correct"
    ):
        _seen(_write(tmp_path, text))


def test_a_task_without_boxes_is_refused(tmp_path):
    with pytest.raises(TeacherError, match="adapter of a detector, and the task learns classes"):
        load_detector(
            _write(tmp_path), input_shape=(1, 32, 32), head=ClassesHead.numbered(3),
            pipeline=_pipeline(),
        )  # fmt: skip


def test_another_adapter_is_another_teacher(tmp_path):
    first = _open(_write(tmp_path)).identity
    assert _open(_write(tmp_path)).identity == first
    assert _open(_write(tmp_path, ADAPTER.replace("xyxy", "xywh"))).identity != first
