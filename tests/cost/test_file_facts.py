"""Costs of what only a model file says: shared weights, tables, types, unknown kernels."""

from __future__ import annotations

from dataclasses import replace

from hwkd.core.graph import FileFacts, Op, OpGraph, Tensor
from hwkd.core.memory_model import FusionRules, StorageModel
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.fuse import fuse
from hwkd.cost.memory import plan_memory
from hwkd.cost.memory_order import find_order
from hwkd.cost.memory_stages import memory_stages
from hwkd.cost.storage import plan_storage
from hwkd.io.device_catalog import load_device
from hwkd.io.runtime_files import load_runtime


def dense(name: str, source: str, facts: FileFacts | None) -> Op:
    return Op(
        name=name, kind="Gemm", inputs=(source,), outputs=(name,),
        macs=64, weights=64, biases=8, facts=facts,
    )  # fmt: skip


def chain(*ops: Op, **shapes: tuple[int, ...]) -> OpGraph:
    names = [ops[0].inputs[0], *(op.outputs[0] for op in ops)]
    tensors = {name: Tensor(name=name, shape=shapes.get(name, (1, 8))) for name in names}
    return OpGraph(ops=ops, tensors=tensors, inputs=(names[0],), outputs=(names[-1],))


def test_weights_that_two_layers_share_are_stored_once() -> None:
    shared = FileFacts(weight_key="w", bias_key="b")
    graph = chain(dense("a", "x", shared), dense("b", "a", shared))
    found = plan_storage(graph, StorageModel(), 1)
    assert found.per_op_bytes == {"a": 64 + 8 * 4, "b": 0}
    assert graph.params == 64 + 8
    apart = chain(dense("a", "x", None), dense("b", "a", None))
    assert plan_storage(apart, StorageModel(), 1).weight_bytes == 2 * found.weight_bytes


def test_a_normalisation_folded_into_shared_weights_makes_them_its_own() -> None:
    shared = FileFacts(weight_key="w")
    convolutions = [
        Op(name=n, kind="Conv", inputs=(i,), outputs=(n,), weights=10, biases=0, facts=shared)
        for n, i in (("a", "x"), ("b", "n"))
    ]
    norm = Op(
        name="n", kind="BatchNormalization", inputs=("a",), outputs=("n",), weights=8, biases=8,
        facts=FileFacts(weight_key="scale", bias_key="shift"),
    )  # fmt: skip
    graph = chain(convolutions[0], norm, convolutions[1])
    fused = fuse(graph, FusionRules(batch_norm=True)).stored
    assert plan_storage(fused, StorageModel(), 1).per_op_bytes == {"a": 10 + 8 * 4, "b": 10}


def test_tables_of_a_matrix_product_follow_its_channels_and_not_its_rows() -> None:
    model = StorageModel(per_output_channel_bytes=24)
    product = Op(name="y", kind="MatMul", inputs=("x",), outputs=("y",), weights=64)
    for shape in ((1, 400, 8), (1, 8), (8,)):
        assert plan_storage(chain(product, y=shape), model, 1).code_bytes == 8 * 24


def test_four_bit_weights_take_half_a_byte_and_float_ones_four() -> None:
    for bits, size in ((4, 32), (8, 64), (32, 256)):
        graph = chain(replace(dense("a", "x", FileFacts(weight_bits=bits)), biases=0))
        assert plan_storage(graph, StorageModel(), 1).weight_bytes == size


def test_an_operator_in_another_type_has_no_cost_and_takes_its_own_bytes() -> None:
    device = load_device("cortex-m4")
    plain = chain(dense("a", "x", FileFacts()))
    wide = chain(dense("a", "x", FileFacts(computes_in="int16")))
    wide.tensors = {n: replace(t, bits=16) for n, t in wide.tensors.items()}
    assert estimate_cost(plain, device).unsupported_ops == {}
    found = estimate_cost(wide, device)
    assert found.unsupported_ops == {"Gemm (int16)": 1}
    assert found.is_lower_bound
    buffers = plan_memory(wide, load_runtime("tflm-cmsis-nn").memory, 1).buffers
    assert [buffer.size for buffer in buffers] == [16, 16]


def test_a_graph_of_views_needs_its_input_and_nothing_else() -> None:
    view = Op(name="y", kind="Reshape", inputs=("x",), outputs=("y",))
    graph = chain(view, x=(1, 3, 4, 4), y=(1, 48))
    fused = fuse(graph, load_runtime("x-cube-ai-8").fusion).stored
    plan = plan_memory(fused, load_runtime("x-cube-ai-8").memory, 1)
    assert not fused.ops
    assert sum(buffer.size for buffer in plan.buffers) == 48
    assert memory_stages(fused, plan) == ()
    assert find_order(fused, 1).peak_bytes == 48
    assert plan_storage(fused, load_runtime("x-cube-ai-8").storage, 1).weight_bytes == 0


def test_an_activation_behind_a_flattening_view_is_not_part_of_the_pooling() -> None:
    conv = Op(name="c", kind="Conv", inputs=("x",), outputs=("c",), weights=8, macs=128)
    pool = Op(name="p", kind="MaxPool", inputs=("c",), outputs=("p",), kernel=(4, 4), stride=(4, 4))
    flat = Op(name="f", kind="Flatten", inputs=("p",), outputs=("f",))
    relu = Op(name="y", kind="Relu", inputs=("f",), outputs=("y",))
    graph = chain(conv, pool, flat, relu, x=(1, 1, 4, 4), c=(1, 8, 4, 4), p=(1, 8, 1, 1))
    fused = fuse(graph, load_runtime("x-cube-ai-8").fusion).stored
    assert [op.name for op in fused.ops] == ["c", "p", "y"]
    assert plan_memory(fused, load_runtime("x-cube-ai-8").memory, 1).arena_bytes > 0
