"""Which axis is the batch, what partly quantised files store, and shapes that exporters compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_networks import NetworkBuilder

from hwkd.core.errors import ModelFileError
from hwkd.trace.onnx_file import Network, load_graph, load_network


def save(
    tmp_path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str]],
    *,
    opset: int = 17,
    **constants: np.ndarray,
) -> Path:
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    path = tmp_path / "m.onnx"
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def dense(tmp_path: Path, shape: list[int | str]) -> Network:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")
    path = save(tmp_path, [node], {"x": shape}, {"y": [*shape[:-1], 4]}, w=np.ones((8, 4), "f4"))
    return load_network(path, keep_types=True)


@pytest.mark.parametrize(
    ("shape", "fixed", "batch_axis", "says"),
    [
        (["batch", 8], (1, 8), 0, "axis 'batch' is taken as the batch, of 1"),
        ([1, 8], (1, 8), 0, "the first axis is the batch, of 1"),
        ([16, 8], (16, 8), None, "fixed at 16 and kept, not taken as a batch: costs are of all 16"),
        (["frames", 8], (1, 8), None, "axis 'frames' is no batch .* costs are of one step of it"),
        (["batch_time", 8], (1, 8), 0, "axis 'batch_time' is taken as the batch"),
        ([8], (8,), None, "has no batch axis"),
    ],
)
def test_what_was_made_of_the_first_axis_is_said(
    shape: list[int | str],
    fixed: tuple[int, ...],
    batch_axis: int | None,
    says: str,
    tmp_path: Path,
) -> None:
    import re

    network = dense(tmp_path, shape)
    (given,) = network.inputs
    assert (given.shape, given.batch_axis) == (fixed, batch_axis)
    assert re.search(says, given.says)
    assert network.graph.macs == 4 * int(np.prod(fixed))


def test_a_recurrence_says_that_its_open_axis_is_time_whatever_its_name(tmp_path: Path) -> None:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y", "", ""], hidden_size=4)
    path = save(
        tmp_path, [node], {"x": ["n", 3, 5]}, {"y": ["n", 1, 3, 4]},
        w=np.ones((1, 16, 5), "f4"), r=np.ones((1, 16, 4), "f4"),
    )  # fmt: skip
    network = load_network(path, keep_types=True)
    assert network.inputs[0].is_one_step
    # one step of three examples, each of which uses every weight once
    assert network.graph.macs == 3 * 16 * (5 + 4)


def test_the_batch_is_one_wherever_its_name_stands(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["state", "first"], ["s"], axis=0),
        helper.make_node("Add", ["x", "s"], ["y"]),
    ]
    given = {"x": ["n", 4], "state": [2, "n", 4]}
    path = save(tmp_path, nodes, given, {"y": ["n", 4]}, first=np.array(0))
    graph = load_graph(path)
    assert [graph.tensors[name].shape for name in graph.inputs] == [(1, 4), (2, 1, 4)]


def test_a_scalar_input_is_fixed(tmp_path: Path) -> None:
    node = helper.make_node("Mul", ["x", "gain"], ["y"])
    graph = load_graph(save(tmp_path, [node], {"x": [1, 4], "gain": []}, {"y": [1, 4]}))
    assert graph.tensors["gain"].shape == ()


def test_pad_amounts_that_the_exporter_computes_are_worked_out(tmp_path: Path) -> None:
    # TorchScript writes F.pad as amounts that are concatenated, reshaped, sliced and transposed.
    nodes = [
        helper.make_node("ConstantOfShape", ["missing"], ["zeros"]),
        helper.make_node("Cast", ["zeros"], ["padding"], to=TensorProto.INT64),
        helper.make_node("Concat", ["amounts", "padding"], ["all"], axis=0),
        helper.make_node("Reshape", ["all", "pairs"], ["grid"]),
        helper.make_node("Slice", ["grid", "last", "first", "axis", "step"], ["turned"]),
        helper.make_node("Transpose", ["turned"], ["columns"], perm=[1, 0]),
        helper.make_node("Reshape", ["columns", "flat"], ["pads"]),
        helper.make_node("Pad", ["x", "pads"], ["y"]),
    ]
    path = save(
        tmp_path, nodes, {"x": [1, 2, 5, 6]}, {"y": [1, 2, 6, 10]},
        missing=np.array([4]), amounts=np.array([1, 3, 0, 1]), pairs=np.array([-1, 2]),
        last=np.array([-1]), first=np.array([-(2**63) + 1]), axis=np.array([0]),
        step=np.array([-1]), flat=np.array([-1]),
    )  # fmt: skip
    graph = load_graph(path)
    assert [op.kind for op in graph.ops] == ["Pad"]
    assert graph.tensors["y"].shape == (1, 2, 6, 10)


def test_a_loop_is_refused_for_what_it_is(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["z"])], "body", [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4])],
    )  # fmt: skip
    node = helper.make_node("Loop", ["", "c", "x"], ["y"], name="chooses", body=body)
    path = save(tmp_path, [node], {"x": [1, 4]}, {"y": [1, 4]}, c=np.array(True))
    with pytest.raises(ModelFileError, match=r"'chooses' \(Loop\) .* without control flow"):
        load_graph(path)


def qdq(name: str, source: str, target: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [source, "s", "z"], [f"{target}_q"], name=f"q{name}"),
        helper.make_node("DequantizeLinear", [f"{target}_q", "s", "z"], [target], name=f"d{name}"),
    ]


def convolution(tmp_path: Path, zero: np.ndarray, *, after: list[onnx.NodeProto]) -> Network:
    nodes = [
        *qdq("x", "x", "xd"),
        helper.make_node("DequantizeLinear", ["w", "s", "z8"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        *after,
    ]
    path = save(
        tmp_path, nodes, {"x": [1, 2, 6, 6]}, {"y": [1, 4, 6, 6]}, opset=21,
        s=np.float32(0.1), z=zero, z8=np.int8(0), w=np.ones((4, 2, 3, 3), np.int8),
    )  # fmt: skip
    return load_network(path, keep_types=True)


def test_a_file_of_8_bits_throughout_is_int8(tmp_path: Path) -> None:
    network = convolution(tmp_path, np.uint8(3), after=qdq("y", "r", "y"))
    assert network.dtype == "int8"
    assert {tensor.bits for tensor in network.graph.tensors.values()} == {8}


def test_activations_of_16_bits_take_two_bytes_and_have_no_8_bit_kernel(tmp_path: Path) -> None:
    network = convolution(tmp_path, np.int16(0), after=qdq("y", "r", "y"))
    assert network.dtype == "mixed"
    assert {tensor.bits for tensor in network.graph.tensors.values()} == {16}
    facts = network.graph.ops[0].facts
    assert facts is not None
    assert (facts.computes_in, facts.weight_bits) == ("int16 with int8 weights", 8)


# The tensor between the two is never quantised, so neither of them can run on integers.
floats = [
    helper.make_node("Erf", ["rd"], ["m"], name="erf"),
    helper.make_node("Tanh", ["m"], ["e"], name="tanh"),
]


def test_a_float_operator_in_a_quantised_file_converts_at_both_ends(tmp_path: Path) -> None:
    after = [*qdq("r", "r", "rd"), *floats, *qdq("y", "e", "y")]
    graph = convolution(tmp_path, np.int8(0), after=after).graph
    ran = [(op.kind, op.facts.computes_in) for op in graph.ops if op.facts is not None]
    assert ran == [
        ("Conv", "int8"),
        ("Relu", "int8"),
        ("DequantizeLinear", "int8 to float32"),
        ("Erf", "float32"),
        ("Tanh", "float32"),
        ("QuantizeLinear", "float32 to int8"),
    ]
    bits = [graph.tensors[name].bits for op in graph.ops for name in op.outputs]
    assert bits == [8, 8, 32, 32, 32, 8]


def test_without_its_types_a_partly_quantised_file_is_its_float_original(tmp_path: Path) -> None:
    after = [*qdq("r", "r", "rd"), *floats, *qdq("y", "e", "y")]
    convolution(tmp_path, np.int8(0), after=after)
    graph = load_graph(tmp_path / "m.onnx")
    assert [op.kind for op in graph.ops] == ["Conv", "Relu", "Erf", "Tanh"]
    assert {tensor.bits for tensor in graph.tensors.values()} == {None}


def test_indices_keep_their_own_size_in_a_float_file(tmp_path: Path) -> None:
    b = NetworkBuilder(8)
    y = b.node("ArgMax", ["input"], (1, 1), axis=1)
    model = b.model(y)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(model, tmp_path / "m.onnx")
    graph = load_graph(tmp_path / "m.onnx")
    assert (graph.tensors["input"].bits, graph.tensors[y].bits) == (None, 64)


def test_a_fixed_batch_multiplies_the_work_of_a_convolution(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    macs = []
    for batch in (1, 5):
        shapes = ({"x": [batch, 2, 6, 6]}, {"y": [batch, 4, 4, 4]})
        path = save(tmp_path, [node], *shapes, w=np.ones((4, 2, 3, 3), "f4"))
        macs.append(load_graph(path).macs)
    assert macs == [4 * 2 * 9 * 16, 5 * 4 * 2 * 9 * 16]
