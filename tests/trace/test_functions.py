"""Functions that a file defines for itself are only a way of writing."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwkd.core.errors import ModelFileError
from hwkd.trace.onnx_file import load_graph
from hwkd.trace.onnx_whole import whole_file

OWN = "pkg.blocks"


def function(name, nodes):
    return helper.make_function(
        OWN, name, ["x", "w"], ["y"], nodes,
        [helper.make_opsetid("", 17), helper.make_opsetid(OWN, 1)],
    )  # fmt: skip


def block(name="Block"):
    return function(
        name,
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["y"]),
        ],
    )


def twice(name, of):
    nodes = [helper.make_node(of, ["x", "w"], ["a"], domain=OWN)]
    return function(name, [*nodes, helper.make_node(of, ["a", "w"], ["y"], domain=OWN)])


def save(path, called, functions):
    weights = np.random.default_rng(0).normal(size=(4, 4, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node(called, ["in", "w"], ["out"], domain=OWN, name="call")],
        "g",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4, 8, 8])],
        [numpy_helper.from_array(weights, "w")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(OWN, 1)]
    model = helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_network_of_functions_costs_what_it_computes(tmp_path):
    path = save(tmp_path / "m.onnx", "Stage", [block(), twice("Stage", "Block")])
    graph = load_graph(path)
    assert [op.kind for op in graph.ops] == ["Conv", "Relu", "Conv", "Relu"]
    assert graph.macs == 2 * 8 * 8 * 4 * 4 * 9


def test_a_whole_file_computes_the_same_without_them(tmp_path):
    path = save(tmp_path / "m.onnx", "Stage", [block(), twice("Stage", "Block")])
    content = whole_file(path)
    assert not onnx.ModelProto.FromString(content).functions
    inputs = {"in": np.random.default_rng(1).normal(size=(1, 4, 8, 8)).astype(np.float32)}
    before, after = (
        onnxruntime.InferenceSession(each, providers=["CPUExecutionProvider"]).run(None, inputs)[0]
        for each in (str(path), content)
    )
    np.testing.assert_array_equal(before, after)


def doubling(levels):
    """Return functions each of which calls the one before it twice."""
    names = ["Block", *(f"F{level}" for level in range(levels))]
    pairs = zip(names[1:], names, strict=False)
    return [block(), *(twice(name, of) for name, of in pairs)], names[-1]


@pytest.mark.parametrize(
    ("functions", "called", "says"),
    [
        (*doubling(40), "operators once its functions are written out"),
        ([twice("Self", "Self")], "Self", "calls itself"),
        ([twice("A", "B"), twice("B", "A")], "A", "calls itself"),
        (
            [block("F0"), *(twice(f"F{n}", f"F{n - 1}") for n in range(1, 3000))],
            "F2999",
            "more than 100 deep",
        ),
    ],
)
def test_functions_that_stand_for_no_network_are_refused(tmp_path, functions, called, says):
    with pytest.raises(ModelFileError, match=says):
        load_graph(save(tmp_path / "m.onnx", called, functions))
