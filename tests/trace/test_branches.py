"""An `If` that the file itself decides is its branch; one that data decides is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwkd.core.errors import ModelFileError
from hwkd.inference.sessions import start_session
from hwkd.trace.onnx_file import load_graph
from hwkd.trace.onnx_model import open_model

_NODE = helper.make_node
# Nodes that end in the condition "c", of an input "x" of 1x16.
CONDITIONS = {
    "stored": [],
    "a Constant": [_NODE("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True)))],
    "of one size": [
        _NODE("Shape", ["x"], ["s"]),
        _NODE("Gather", ["s", "one"], ["d"]),
        _NODE("Equal", ["d", "sixteen"], ["c"]),
    ],
    "of all sizes": [
        _NODE("Size", ["x"], ["s"]),
        _NODE("Greater", ["s", "sixteen"], ["more"]),
        _NODE("Not", ["more"], ["c"]),
    ],
}


def info(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def chooses(condition: str, *, batch: int | str, is_true: bool) -> onnx.ModelProto:
    """Two choices in a row whose branches write tensors of the same names."""
    generator = np.random.default_rng(0)
    w, v = (generator.normal(size=size).astype(np.float32) for size in ((16, 8), (8, 8)))
    dense = helper.make_graph(
        [_NODE("Gemm", ["x", "w"], ["t"], name="g"), _NODE("Relu", ["t"], ["u"], name="r")],
        "dense", [], [info("u", batch, 8)], [numpy_helper.from_array(w, "w")],
    )  # fmt: skip
    again = helper.make_graph(
        [_NODE("Gemm", ["y", "w"], ["t"], name="g")],
        "again", [], [info("t", batch, 8)], [numpy_helper.from_array(v, "w")],
    )  # fmt: skip
    other = helper.make_graph(
        [_NODE("ReduceMean", ["x", "last"], ["t"]), _NODE("Expand", ["t", "eight"], ["u"])],
        "other", [], [info("u", batch, 8)],
    )  # fmt: skip
    first, second = (dense, again) if is_true else (other, other)
    wrong = other if is_true else dense
    branches = ("then_branch", "else_branch") if is_true else ("else_branch", "then_branch")
    nodes = [
        *CONDITIONS[condition],
        _NODE("If", ["c"], ["y"], name="one", **dict(zip(branches, (first, wrong), strict=True))),
        _NODE("If", ["c"], ["z"], name="two", **dict(zip(branches, (second, wrong), strict=True))),
    ]
    stored = {"one": 1, "sixteen": 16 if is_true else 15, "last": [1], "eight": [1, 8]}
    constants = [numpy_helper.from_array(np.array(n), name) for name, n in stored.items()]
    if condition == "stored":
        constants.append(numpy_helper.from_array(np.array(is_true), "c"))
    graph = helper.make_graph(nodes, "g", [info("x", batch, 16)], [info("z", batch, 8)], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("condition", sorted(CONDITIONS))
@pytest.mark.parametrize("is_true", [True, False])
def test_the_branch_that_runs_stands_in_the_place_of_the_choice(
    condition: str, is_true: bool, batch: int | str, tmp_path: Path
) -> None:
    if condition == "a Constant" and not is_true:
        pytest.skip("the constant is true")
    path = tmp_path / "m.onnx"
    onnx.save(chooses(condition, batch=batch, is_true=is_true), path)
    taken = open_model(path)
    assert "If" not in {node.op_type for node in taken.graph.node}
    assert {"Shape", "Size", "Equal", "Not"}.isdisjoint(n.op_type for n in taken.graph.node)
    x = np.random.default_rng(1).normal(size=(1, 16)).astype(np.float32)
    whole, flat = (
        start_session(model, says="nothing").run(None, {"x": x})
        for model in (path, taken.SerializeToString())
    )
    np.testing.assert_array_equal(whole[0], flat[0])
    macs = sum(op.macs for op in load_graph(path).ops)
    assert macs == (16 * 8 + 8 * 8 if is_true else 0)


def test_a_choice_in_a_branch_is_made_too(tmp_path: Path) -> None:
    model = chooses("stored", batch=1, is_true=True)
    inner = model.graph.node[0]
    outer = helper.make_graph([inner], "outer", [], [info("y", 1, 8)])
    both = {"then_branch": outer, "else_branch": outer}
    model.graph.node[0].CopyFrom(_NODE("If", ["c"], ["chosen"], name="outer", **both))
    for node in model.graph.node[1].attribute[0].g.node:
        node.input[:] = ["chosen" if name == "y" else name for name in node.input]
    onnx.save(model, tmp_path / "m.onnx")
    assert [op.kind for op in load_graph(tmp_path / "m.onnx").ops] == ["Gemm", "Relu", "Gemm"]


def test_a_choice_that_data_makes_is_refused(tmp_path: Path) -> None:
    model = chooses("stored", batch=1, is_true=True)
    del model.graph.initializer[-1]
    asks = [_NODE("ReduceMax", ["x"], ["most"], keepdims=0), _NODE("Greater", ["most", "f"], ["c"])]
    nodes = [*asks, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0), "f"))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match=r"'one' \(If\) .*only while the network runs"):
        load_graph(tmp_path / "m.onnx")
