"""Flash: weights and biases by hand, tables and code by runtime, published weight sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.memory_model import StorageModel
from hwkd.cost.storage import plan_storage
from hwkd.io.runtime_files import load_runtime, runtime_names


def small_network() -> OpGraph:
    """A 3x3 convolution 2->8, a scaled copy, a layer 8->3."""
    ops = (
        Op(name="a", kind="Conv", inputs=("x",), outputs=("a",), weights=144, biases=8),
        Op(name="m", kind="Mul", inputs=("a",), outputs=("m",), constants=1),
        Op(name="b", kind="Gemm", inputs=("m",), outputs=("b",), weights=24, biases=3),
    )
    shapes = {"x": (1, 2, 4, 4), "a": (1, 8, 1, 1), "m": (1, 8, 1, 1), "b": (1, 3)}
    tensors = {name: Tensor(name=name, shape=shape) for name, shape in shapes.items()}
    return OpGraph(ops=ops, tensors=tensors, inputs=("x",), outputs=("b",))


def test_int8_weights_take_a_byte_and_biases_four() -> None:
    plan = plan_storage(small_network(), StorageModel(), 1)
    assert plan.per_op_bytes == {"a": 144 + 32, "m": 1, "b": 24 + 12}
    assert plan.weight_bytes == plan.flash_bytes == 213


def test_float32_weights_take_four_bytes() -> None:
    assert plan_storage(small_network(), StorageModel(), 4).weight_bytes == 4 * (
        144 + 8 + 1 + 24 + 3
    )


def test_code_is_linked_once_for_each_kind_and_tables_for_each_channel() -> None:
    model = StorageModel(
        code_bytes=1000, per_kind_code_bytes={"Conv": 200, "Gemm": 50, "Softmax": 999},
        per_op_bytes=10, per_tensor_bytes=1, per_output_channel_bytes=8,
    )  # fmt: skip
    plan = plan_storage(small_network(), model, 1)
    assert plan.code_bytes == 1000 + 200 + 50 + 3 * 10 + 4 * 1 + (8 + 3) * 8
    assert plan.flash_bytes == plan.weight_bytes + plan.code_bytes


def test_a_kernel_is_linked_once_for_each_form_of_operator() -> None:
    graph = small_network()
    doubled = replace(graph, ops=(*graph.ops, replace(graph.ops[0], name="again")))
    model = StorageModel(per_form_code_bytes=100)
    assert plan_storage(graph, model, 1).code_bytes == 300
    assert plan_storage(doubled, model, 1).code_bytes == 300


@pytest.mark.parametrize("runtime", runtime_names())
def test_every_runtime_says_where_its_code_size_comes_from(runtime: str) -> None:
    model = load_runtime(runtime).storage
    assert not model.code_bytes or model.sources.get("code_bytes")
