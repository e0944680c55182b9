"""Peak RAM: lifetimes by hand, the greedy planner's promises, scratch and orders."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.lib.published import graph_of as graph_of_published
from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.memory_model import MemoryModel
from hwkd.cost import memory_order
from hwkd.cost.fuse import fuse
from hwkd.cost.graph import build_graph
from hwkd.cost.memory import plan_memory
from hwkd.cost.memory_order import find_order
from hwkd.cost.memory_planner import Buffer, place_greedily
from hwkd.cost.memory_stages import memory_stages
from hwkd.io.runtime_files import load_runtime

BARE = MemoryModel(alignment_bytes=1)
LIVE = MemoryModel(alignment_bytes=1, planner="live_peak")


def op(name: str, kind: str, *inputs: str, **fields: object) -> Op:
    return Op(name=name, kind=kind, inputs=inputs, outputs=(name,), **fields)


def graph_of(ops: list[Op], shapes: dict[str, tuple[int, ...]]) -> OpGraph:
    tensors = {name: Tensor(name=name, shape=shape) for name, shape in shapes.items()}
    return OpGraph(ops=tuple(ops), tensors=tensors, inputs=("x",), outputs=(ops[-1].name,))


def residual() -> OpGraph:
    """A skip around b: x 100 -> a 80 -> b 60 -> w 80; c = a + w."""
    ops = [
        op("a", "Conv", "x"),
        op("b", "Conv", "a"),
        op("w", "Conv", "b"),
        op("c", "Add", "a", "w"),
    ]
    sizes = {"x": 100, "a": 80, "b": 60, "w": 80, "c": 80}
    return graph_of(ops, {name: (1, size) for name, size in sizes.items()})


def test_peak_ram_counts_both_inputs_of_an_add() -> None:
    plan = plan_memory(residual(), BARE, 1)
    assert list(plan.live_bytes.values()) == [180, 140, 220, 240]
    assert plan.peak_ram_bytes == 240


def test_a_concatenation_holds_all_that_it_reads_and_what_it_writes() -> None:
    builder = LayersBuilder((1, 10, 10))
    first = builder.conv("input", "first", 2)
    second = builder.conv(first, "second", 3)
    third = builder.conv(second, "third", 4)
    builder.concat([first, second, third], "all")
    plan = plan_memory(build_graph(builder.build()), LIVE, 1)
    assert list(plan.live_bytes.values()) == [300, 500, 900, 1800]


def test_branches_of_a_concatenation_end_before_the_next_begins() -> None:
    """Both wide tensors at once: 100 + 800 + 700; one after the other: 100 + 800 + 10."""
    ops = [
        op("a", "Conv", "x"),
        op("b", "Conv", "x"),
        op("small_a", "Conv", "a"),
        op("small_b", "Conv", "b"),
        op("all", "Concat", "small_a", "small_b"),
    ]
    sizes = {"x": 100, "a": 800, "b": 700, "small_a": 10, "small_b": 10, "all": 20}
    found = find_order(graph_of(ops, {name: (1, size) for name, size in sizes.items()}), 1)
    assert (found.given_peak_bytes, found.peak_bytes) == (1600, 910)
    assert found.names.index("small_a") == found.names.index("a") + 1


def test_float32_tensors_take_four_times_the_bytes() -> None:
    assert plan_memory(residual(), BARE, 4).peak_ram_bytes == 960


def test_an_addition_in_place_saves_one_operand() -> None:
    model = MemoryModel(alignment_bytes=1, planner="live_peak", in_place={"Add": "overwrite"})
    assert plan_memory(residual(), model, 1).live_bytes["c"] == 160


def test_an_output_of_the_network_is_never_overwritten() -> None:
    ops = [op("a", "Relu", "x"), op("b", "Relu", "a")]
    graph = graph_of(ops, dict.fromkeys(("x", "a", "b"), (1, 50)))
    both = OpGraph(ops=graph.ops, tensors=graph.tensors, inputs=("x",), outputs=("a", "b"))
    model = MemoryModel(alignment_bytes=1, planner="live_peak", in_place={"Relu": "overwrite"})
    assert list(plan_memory(graph, model, 1).live_bytes.values()) == [50, 50]
    assert list(plan_memory(both, model, 1).live_bytes.values()) == [50, 100]


SLIDES = MemoryModel(alignment_bytes=1, planner="live_peak", in_place={"Conv": "slide"})
SAME = {"kernel": (3, 3), "pads": (1, 1, 1, 1)}


def test_a_convolution_writes_one_row_below_the_rows_that_it_still_reads() -> None:
    shapes = {"x": (1, 4, 8, 8), "a": (1, 4, 8, 8)}
    pointwise = graph_of([op("a", "Conv", "x")], shapes)
    assert plan_memory(pointwise, SLIDES, 1).arena_bytes == 256 + 32
    # With a row of padding it reads one row further back.
    window = graph_of([op("a", "Conv", "x", groups=4, **SAME)], shapes)
    assert plan_memory(window, SLIDES, 1).arena_bytes == 256 + 2 * 32


def test_the_first_convolution_writes_over_the_input_of_the_network() -> None:
    shapes = {"x": (1, 3, 64, 64), "a": (1, 16, 32, 32)}
    graph = graph_of([op("a", "Conv", "x", kernel=(3, 3), stride=(2, 2))], shapes)
    # 33 rows of results less 32 of input that they replace: 16,896 - 12,288 below the input.
    assert plan_memory(graph, SLIDES, 1).arena_bytes == 12_288 + 33 * 512 - 32 * 384


def test_convolutions_in_a_row_drift_and_a_planner_may_end_the_chain() -> None:
    shapes = dict.fromkeys("xabcdefghij", (1, 4, 8, 8))
    ops = [op(new, "Conv", old) for old, new in zip("xabcdefghi", "abcdefghij", strict=True)]
    graph = graph_of(ops, shapes)
    # A row of 32 bytes each, until input and output apart take less: 512 bytes.
    assert plan_memory(graph, SLIDES, 1).arena_bytes == 256 + 8 * 32
    cutting = SLIDES.model_copy(update={"cuts_chains": True})
    assert plan_memory(graph, cutting, 1).arena_bytes == 256 + 8 * 32
    wide = {**shapes, "d": (1, 16, 8, 8), "e": (1, 16, 8, 8), "f": (1, 1, 8, 8)}
    growing = graph_of(ops, wide)
    assert (
        plan_memory(growing, cutting, 1).arena_bytes < plan_memory(growing, SLIDES, 1).arena_bytes
    )


def test_scratch_lies_over_dead_activations_or_keeps_its_place_all_the_time() -> None:
    model = SLIDES.model_copy(update={"scratch": {"Conv": "x_cube_conv"}})
    graph = graph_of(
        [op("a", "Conv", "x", weights=64), op("b", "Conv", "a", weights=64)],
        dict.fromkeys("xab", (1, 8, 16, 16)),
    )
    # 4 x 8 + 10 x 8 bytes fit into the row of 128 that is free below the first, above the second.
    laid_over = plan_memory(graph, model, 1)
    assert laid_over.scratch_bytes == {"a": 112, "b": 112}
    assert laid_over.arena_bytes == 2048 + 2 * 128
    apart = model.model_copy(update={"scratch_apart_ratio": 1.5})
    assert plan_memory(graph, apart, 1).arena_bytes == 2048 + 2 * 128 + 168


def test_a_broadcast_product_and_a_concatenation_are_never_in_place() -> None:
    rules = load_runtime("x-cube-ai-8").memory
    shapes = {"x": (1, 16, 8, 8), "y": (1, 16, 8, 8), "s": (1, 16, 1, 1), "m": (1, 16, 8, 8)}
    scaled = [op("y", "Relu", "x"), op("s", "GlobalAveragePool", "y"), op("m", "Mul", "y", "s")]
    assert plan_memory(graph_of(scaled, shapes), rules, 1).live_bytes["m"] == 2 * 1024 + 16
    squared = [op("y", "Relu", "x"), op("s", "Relu", "y"), op("m", "Mul", "y", "s")]
    same = {**shapes, "s": (1, 16, 8, 8)}
    assert plan_memory(graph_of(squared, same), rules, 1).live_bytes["m"] == 2 * 1024
    joined = [op("y", "Relu", "x"), op("m", "Concat", "y", "x")]
    both = {**shapes, "m": (1, 32, 8, 8)}
    assert plan_memory(graph_of(joined, both), rules, 1).live_bytes["m"] == 4 * 1024


def test_a_padded_copy_and_the_pooling_after_it_share_one_buffer() -> None:
    rules = load_runtime("x-cube-ai-8").memory
    shapes = {"x": (1, 64, 32, 25), "a": (1, 64, 16, 13)}
    pool = op("a", "MaxPool", "x", kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1))
    # 34 x 27 pixels with their padding, and one row of results before them.
    assert plan_memory(graph_of([pool], shapes), rules, 1).arena_bytes == 64 * (34 * 27 + 13)


def test_what_a_window_copies_of_a_waiting_tensor_is_not_slid_over_in_version_7() -> None:
    shapes = dict.fromkeys("xab", (1, 16, 8, 8))
    graph = graph_of([op("a", "Conv", "x", **SAME), op("b", "Add", "a", "x")], shapes)
    rules = SLIDES.model_copy(update={"copies_to_pad": True})
    assert plan_memory(graph, rules, 1).live_bytes["a"] == 1024 + 1600 + 128
    seven = rules.model_copy(update={"slides_over_copies": False})
    assert plan_memory(graph, seven, 1).live_bytes["a"] == 1024 + 1600 + 1024


@pytest.mark.parametrize(
    ("model", "runtime", "core", "published_kib"),
    [
        ("bven__flowers__mobilenet_v1_0.25_224_int8", "x-cube-ai-7", "cortex-m7", 202.14),
        ("bven__flowers__mobilenet_v1_0.5_224_int8", "x-cube-ai-7", "cortex-m7", 404.28),
        ("bven__flowers__squeezenet_v1.0_128_int8", "x-cube-ai-7", "cortex-m7", 450.0),
        ("Moha__coco_2017_person__st_yolo_lc_v1_256_int8", "x-cube-ai-10", "cortex-m7", 278.29),
        ("Moha__esc10__miniresnet_1stacks_64x50_tl_int8", "x-cube-ai-10", "cortex-m33", 59.89),
        ("Moha__flowers__mobilenet_v1_0.25_224_fft_int8", "st-edge-ai-3", "cortex-m7", 271.04),
    ],
)  # fmt: skip
def test_published_activation_ram_follows_from_the_rules_within_1_percent(
    model: str, runtime: str, core: str, published_kib: float
) -> None:
    rules = load_runtime(runtime)
    graph = fuse(graph_of_published(model), rules.fusion).stored
    arena = plan_memory(graph, rules.memory_of(core), 1).arena_bytes
    assert arena / 1024 == pytest.approx(published_kib, rel=0.01)


def test_a_pooling_on_the_fly_needs_only_the_rows_it_pools() -> None:
    ops = [op("a", "Conv", "x"), op("b", "MaxPool", "a", kernel=(2, 2), stride=(2, 2))]
    graph = graph_of(ops, {"x": (1, 1, 8, 8), "a": (1, 4, 8, 8), "b": (1, 4, 4, 4)})
    assert plan_memory(graph, LIVE, 1).arena_bytes == 256 + 64
    streaming = LIVE.model_copy(update={"pools_on_the_fly": True})
    assert plan_memory(graph, streaming, 1).arena_bytes == 64 + 64 + 2 * 8 * 4


def test_x_cube_pooled_convolutions_share_memory_as_in_a_generated_memory_map() -> None:
    # A generated network.c for 64x64x1 -> 3x3 conv 32, pool 2 -> 3x3 conv 64, pool 2 -> 3x3 conv
    # 128, pool 2 asks for 42,528 bytes of activations; its second convolution binds.
    shapes: dict[str, tuple[int, ...]] = {"x": (1, 1, 64, 64)}
    ops, before, size = [], "x", 64
    for name, channels in (("a", 32), ("b", 64), ("c", 128)):
        shapes[name] = (1, channels, size - 2, size - 2)
        size = (size - 2) // 2
        shapes[f"{name}_pool"] = (1, channels, size, size)
        ops.append(op(name, "Conv", before, kernel=(3, 3), weights=1))
        ops.append(op(f"{name}_pool", "MaxPool", name, kernel=(2, 2), stride=(2, 2)))
        before = f"{name}_pool"
    plan = plan_memory(graph_of(ops, shapes), load_runtime("x-cube-ai-8").memory, 1)
    assert plan.arena_bytes == plan.live_bytes["b"] == 42_528


def test_cmsis_nn_convolutions_ask_for_two_columns_of_16_bit_values() -> None:
    model = MemoryModel(alignment_bytes=1, scratch={"Conv": "cmsis_conv"})
    shapes = {"x": (1, 3, 8, 8), "a": (1, 16, 8, 8), "b": (1, 16, 8, 8), "c": (1, 16, 8, 8)}
    same = {"kernel": (3, 3), "pads": (1, 1, 1, 1)}
    ops = [
        op("a", "Conv", "x", **same),
        op("b", "Conv", "a", groups=16, kernel=(5, 5), pads=(2, 2, 2, 2)),
        op("c", "Conv", "b"),
    ]
    # 3x3x3 = 27 values are padded to 28; a 5x5 depthwise keeps one column; 1x1 needs nothing.
    assert plan_memory(graph_of(ops, shapes), model, 1).scratch_bytes == {
        "a": 2 * 2 * 28,
        "b": 2 * 25 * 16,
    }
    assert plan_memory(graph_of(ops, shapes), model, 4).scratch_bytes == {}


def test_dense_layers_of_st_ask_for_what_generated_files_declare() -> None:
    # 16-bit values of the gemm_..._scratch0 arrays of one generated network.c: 90, 128, 64, 32, 16
    # and 6 values between its layers.
    widths, declared = [90, 128, 64, 32, 16, 6], [730, 448, 224, 112, 46]
    names = ["x", *"abcde"]
    sizes = dict(zip(names, widths, strict=True))
    ops = [
        op(name, "Gemm", before, macs=sizes[before] * sizes[name], weights=1)
        for before, name in pairwise(names)
    ]
    graph = graph_of(ops, {name: (1, size) for name, size in sizes.items()})
    plan = plan_memory(graph, load_runtime("x-cube-ai-7").memory, 1)
    assert list(plan.scratch_bytes.values()) == [2 * count for count in declared]
    # No output lies over its input there: 448 bytes are declared for 1, 32, 32, 16 and 1 values.
    widths = [1, 32, 32, 16, 1]
    sizes = dict(zip("xabcd", widths, strict=True))
    ops = [
        op(name, "Gemm", before, macs=sizes[before] * sizes[name], weights=1)
        for before, name in pairwise("xabcd")
    ]
    graph = graph_of(ops, {name: (1, size) for name, size in sizes.items()})
    assert plan_memory(graph, load_runtime("x-cube-ai-7").memory, 1).arena_bytes == 448


@pytest.mark.parametrize(
    ("channels", "filters", "fields", "wanted"),
    [
        # 1x1, 16 -> 8 on 8x8: filter 16x8, transposed 2x8x16, alignment 32.
        (16, 8, {}, 128 + 256 + 32),
        # 12 channels are copied with 16.
        (12, 8, {}, 64 * 16 + 128 + 256 + 32),
        # Depthwise 3x3, 16 channels: filter and the padded image of 10x10.
        (16, 16, {"groups": 16, "kernel": (3, 3), "pads": (1, 1, 1, 1)}, 144 + 1600 + 16),
        # 3x3 from 3 channels: one column of 27 values, as 32, beside the filters.
        (3, 8, {"kernel": (3, 3), "pads": (1, 1, 1, 1)}, 8 * (4 + 32) + 32 + 32 + 32),
        # Depthwise 5x5 runs without copies.
        (16, 16, {"groups": 16, "kernel": (5, 5), "pads": (2, 2, 2, 2)}, 32),
    ],
)
def test_esp_nn_convolutions_ask_for_aligned_copies(
    channels: int, filters: int, fields: dict[str, object], wanted: int
) -> None:
    shapes = {"x": (1, channels, 8, 8), "a": (1, filters, 8, 8)}
    model = MemoryModel(alignment_bytes=1, scratch={"Conv": "esp_nn_conv"})
    plan = plan_memory(graph_of([op("a", "Conv", "x", **fields)], shapes), model, 1)
    assert plan.scratch_bytes == {"a": wanted}


buffers = st.lists(
    st.tuples(st.integers(1, 500), st.integers(0, 8), st.integers(0, 4)), min_size=1, max_size=25
).map(lambda rows: [Buffer(f"b{i}", s, f, f + d) for i, (s, f, d) in enumerate(rows)])


@given(buffers)
def test_buffers_that_live_together_never_overlap(placed: list[Buffer]) -> None:
    offsets = place_greedily(placed, 13)
    for i, (a, at) in enumerate(zip(placed, offsets, strict=True)):
        for b, other in list(zip(placed, offsets, strict=True))[i + 1 :]:
            if a.first <= b.last and b.first <= a.last:
                assert at + a.size <= other or other + b.size <= at


@given(buffers)
def test_the_arena_is_at_least_the_bytes_alive_and_at_most_their_sum(placed: list[Buffer]) -> None:
    offsets = place_greedily(placed, 13)
    arena = max(at + b.size for at, b in zip(offsets, placed, strict=True))
    alive = [sum(b.size for b in placed if b.first <= step <= b.last) for step in range(13)]
    assert max(alive) <= arena <= sum(b.size for b in placed)


def test_equal_buffers_are_placed_last_first_as_tflm_does() -> None:
    # The early twin finds its place only above the later one and the long one.
    placed = [Buffer("early", 10, 0, 1), Buffer("late", 10, 1, 2), Buffer("big", 20, 2, 3)]
    assert place_greedily(placed, 4) == [0, 20, 0]


def branches() -> OpGraph:
    """Two branches from x; running the one with the small result first needs less."""
    ops = [
        op("wide", "Conv", "x"),
        op("wide_end", "Conv", "wide"),
        op("thin", "Conv", "x"),
        op("thin_end", "Conv", "thin"),
        op("sum", "Add", "wide_end", "thin_end"),
    ]
    sizes = {"x": 10, "wide": 100, "wide_end": 50, "thin": 90, "thin_end": 5, "sum": 5}
    return graph_of(ops, {name: (1, size) for name, size in sizes.items()})


def test_the_order_found_needs_what_the_best_of_all_orders_needs() -> None:
    graph = branches()
    position = {op.name: op for op in graph.ops}
    peaks = []
    for order in permutations(position):
        done = {"x"}
        for name in order:
            if not set(position[name].inputs) <= done:
                break
            done.add(name)
        else:
            ordered = OpGraph(
                ops=tuple(position[name] for name in order),
                tensors=graph.tensors, inputs=graph.inputs, outputs=graph.outputs,
            )  # fmt: skip
            peaks.append(plan_memory(ordered, LIVE, 1).arena_bytes)
    found = find_order(graph, 1)
    assert found.peak_bytes == min(peaks) < found.given_peak_bytes
    assert found.names.index("thin_end") < found.names.index("wide")


def test_a_search_that_is_cut_short_keeps_the_given_order(monkeypatch) -> None:
    monkeypatch.setattr(memory_order, "_MOST_EXAMINED", 1)
    found = find_order(branches(), 1)
    assert found.peak_bytes == found.given_peak_bytes
    assert found.names == tuple(op.name for op in branches().ops)


def test_stages_add_up_to_the_live_bytes_and_name_what_waits() -> None:
    graph = residual()
    plan = plan_memory(graph, BARE, 1)
    stages = memory_stages(graph, plan)
    assert [stage.total_bytes for stage in stages] == list(plan.live_bytes.values())
    assert stages[2].held == ("a",)
    assert stages[2].held_bytes == 80
