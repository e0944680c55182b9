"""Teachers of the user's that name a class at each position."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.teachers import CPU

from hwkd.core.errors import TeacherError
from hwkd.tasks.maps_head import MapsHead
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.train.teacher_open import open_teacher

SIDE = 8
CLASSES = ("ground", "leaf", "stone")


def make_scenes():
    generator = np.random.default_rng(0)
    masks = np.broadcast_to(np.arange(SIDE) % 3, (60, SIDE, SIDE)).astype(np.int16)
    inputs = generator.normal(size=(60, 1, SIDE, SIDE)).astype(np.float32)
    train = RawSplit(inputs=inputs, labels=masks)
    raw = RawData(source="made", class_names=(), train=train)
    return prepare(raw, MapsHead(names=CLASSES, grid=(SIDE, SIDE)), task="segment", split_seed=0)


def write_maps(path, *, stride, classes=3, softmax=False):
    """Each class is so many times the picture at every `stride`-th position, as its number."""
    nodes = [helper.make_node("Conv", ["x", "w"], ["z"], strides=[stride, stride])]
    end = "Softmax" if softmax else "Identity"
    nodes.append(helper.make_node(end, ["z"], ["y"], **({"axis": 1} if softmax else {})))
    weights = np.arange(classes, dtype=np.float32).reshape(-1, 1, 1, 1)
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", classes, None, None])],
        [numpy_helper.from_array(weights, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return str(path)


def slope():
    """A picture whose every second column is 0, 1, 2, 3."""
    return np.broadcast_to(np.arange(SIDE, dtype=np.float32) / 2, (1, 1, SIDE, SIDE)).copy()


@pytest.mark.parametrize("softmax", [False, True])
def test_a_map_of_the_pictures_size_is_taken_as_it_is(tmp_path, softmax):
    path = write_maps(tmp_path / "t.onnx", stride=1, softmax=softmax)
    said = open_teacher(path, make_scenes(), device=CPU).logits(slope())
    wanted = slope() * np.arange(3).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(said - said[:, :1], wanted, atol=1e-5)


def test_a_coarser_map_is_drawn_larger_by_straight_lines(tmp_path):
    path = write_maps(tmp_path / "t.onnx", stride=2)
    said = open_teacher(path, make_scenes(), device=CPU).logits(slope())
    assert said.shape == (1, 3, SIDE, SIDE)
    # A coarse position is the middle of two; beyond the last middles nothing is known.
    line = [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    np.testing.assert_allclose(said[0, 2], np.tile(2 * np.array(line), (SIDE, 1)), atol=1e-6)


def test_maps_of_other_classes_are_refused(tmp_path):
    path = write_maps(tmp_path / "t.onnx", stride=1, classes=4)
    with pytest.raises(TeacherError, match=r"\(1, 4, 8, 8\); the data has 3 class maps"):
        open_teacher(path, make_scenes(), device=CPU).logits(slope())
