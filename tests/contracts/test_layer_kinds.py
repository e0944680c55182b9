"""What every layer kind must keep: cost, ONNX, training, rounding and C are one network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from benchmarks.lib.c_cycles import counted
from benchmarks.lib.c_fit import CORES
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.errors import ExportError
from hwkd.core.graph import OpGraph
from hwkd.core.kinds import ACTIVATIONS, LAYER_KINDS, OPERATORS, Kind, add_kind
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layer, Layers, StudentSpec
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.finer_terms import priced_work
from hwkd.cost.fuse import fuse
from hwkd.cost.graph import build_graph
from hwkd.deploy.calibrate import activation_ranges
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx, in_file_order
from hwkd.deploy.to_tflite import write_tflite
from hwkd.deploy.toolchain import find_host_compiler, host_compiler
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import build_host_once, run_host
from hwkd.deploy.weight_correction import stored_weights
from hwkd.io.device_catalog import load_device
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.nn.fake_quant import FakeQuantStudent, made_whole
from hwkd.nn.functions import FUNCTIONS
from hwkd.qgraph.convert import CONVERTERS
from hwkd.qgraph.ir import View
from hwkd.qgraph.read_qdq import read_qdq
from hwkd.trace.onnx_file import load_graph

NOT_IN_TFLITE = {
    "softmax over channels and rows": "'first'.*along another axis than the last in memory",
    "layer_norm": "'what': a layer normalisation",
    "embedding": "'what': an embedding",
    "embedding of bytes": "'what': an embedding",
}


def example(what: str) -> Layers:
    """A network of (2, 8, 8) -> 3 values around the layer that `what` names."""
    b = LayersBuilder((2, 8, 8))
    stem = b.conv("input", "stem", 4, kernel=3, activation="relu")
    mix = b.conv("input", "mix", 4, kernel=3)
    match what:
        case "conv" | "linear" | "reshape" | "global_avg_pool":
            x = stem
        case "add":
            x = b.add(stem, mix, "what", activation="relu")
        case "mul":
            x = b.mul(stem, mix, "what")
        case "matmul":
            x = b.matmul(stem, mix, "what")
        case "avg_pool":
            x = b.avg_pool(stem, "what", kernel=2)
        case "max_pool":
            x = b.max_pool(mix, "what", kernel=2)
        case "hard_swish":
            x = b.hard_swish(b.add(stem, mix, "sum"), "what")
        case "dilated conv":
            wide = b.conv(mix, "what", 4, kernel=3, dilation=(1, 3), activation="relu")
            x = b.depthwise(wide, "apart", kernel=(3, 1), dilation=2, padded=False)
        case "upsample":
            x = b.conv(b.upsample(b.conv(mix, "deep", 3, stride=2), "what", factor=(2, 3)), "up", 4)
        case "conv_transpose":
            x = b.conv_transpose(b.conv(mix, "deep", 3, stride=2), "what", 5, activation="relu")
            x = b.conv_transpose(x, "wider", 4, kernel=4, norm=False)
        case "half_pixel" | "align_corners":
            deep = b.conv(mix, "deep", 3, stride=2)
            x = b.conv(b.upsample(deep, "what", factor=(2, 3), mode=what), "up", 4)
        case "transpose":
            x = b.transpose(mix, "what", (0, 2, 1))
        case "concat":
            x = b.concat([stem, mix, "input"], "what", activation="relu")
        case "concat of rows":
            x = b.concat([stem, mix], "what", axis=1)
        case "softmax":
            x = b.transpose(
                b.softmax(b.transpose(mix, "rows", (1, 2, 0)), "what"), "back", (2, 0, 1)
            )
        case "slice":
            x = b.slice(b.slice(mix, "rows", start=2, stop=7, axis=1), "what", start=1, stop=4)
        case "layer_norm":
            normal = b.layer_norm(b.transpose(mix, "positions", (1, 2, 0)), "what")
            x = b.transpose(normal, "channels", (2, 0, 1))
        case "embedding":
            numbers = b.transpose("input", "numbers", (1, 2, 0))
            x = b.transpose(b.embedding(numbers, "what", 5, base=4), "back", (2, 0, 1))
        case "embedding of bytes":
            rows = b.embedding(b.reshape("input", "bytes", (1, 128, 1)), "what", 6, base=256)
            x = b.conv(b.transpose(rows, "along", (2, 0, 1)), "mixed", 4, kernel=3)
        case "sigmoid":
            gate = b.conv("input", "gate", 4, kernel=3, activation="sigmoid")
            x = b.mul(stem, gate, "what")
        case "softmax over channels and rows":
            x = b.softmax(b.softmax(mix, "first", axis=1), "what", axis=0)
        case "attention in windows":
            choices = {
                "activation": "relu", "stem_channels": 4, "stem_stride": 1, "stem_kernel": 3,
                "halvings": 1, "convs_per_halving": 1, "dim": 8, "heads": 2, "key_dim": 4,
                "blocks": 1, "kernel": 3, "feed_forward_ratio": 1, "window": 2,
            }  # fmt: skip
            discover("hwkd.search_spaces")
            space = SEARCH_SPACES.get("local_attention")
            return space.layers(
                StudentSpec(space=space.name, params=choices, input_shape=(2, 8, 8), num_outputs=3)
            )
        case "softmax of classes":
            b.softmax(b.classifier(mix, 3), "what")
            return b.build()
        case _:
            raise AssertionError(f"give the layer kind {what!r} a network to be tested in")
    b.classifier(x, 3)
    return b.build()


WHAT = (
    *LAYER_KINDS, "dilated conv", "sigmoid", "concat of rows", "softmax over channels and rows",
    "softmax of classes", "attention in windows", "half_pixel", "align_corners",
    "embedding of bytes",
)  # fmt: skip
each_kind = pytest.mark.parametrize("what", WHAT)


def written(layers: Layers, folder: Path) -> tuple[Path, Path, np.ndarray]:
    """Return the float file, the int8 file and the inputs that it was calibrated with."""
    samples = np.random.default_rng(0).normal(size=(48, *layers.input_shape)).astype(np.float32)
    if "input" in made_whole(layers):
        samples = np.rint(50 * samples).clip(-128, 127)
    floating, int8 = folder / "float.onnx", folder / "int8.onnx"
    export_onnx(build_module(layers, seed=0).eval(), layers, floating)
    quantise_int8(floating, int8, samples)
    return floating, int8, samples


# One kernel of hwkd's own C under two names.
SAME_KERNEL = {"GlobalAveragePool": "ReduceMean"}


def uncounted(graph: OpGraph, core: str, kinds: set[str]) -> set[str]:
    """Kinds that the C runs on a core and whose price does not rest on counted rows of them."""
    stack = load_device(core).runtime("hwkd-c")
    model, running = stack.latency["int8"], fuse(graph, stack.fusion).graph
    found = set()
    for op in running.ops:
        work = priced_work(op, running.tensors, model.cycles)
        is_priced = work is not None and work.op_class in model.fitted_range
        if not is_priced or SAME_KERNEL.get(op.kind, op.kind) not in kinds:
            found.add(op.kind)
    return found


@each_kind
@pytest.mark.parametrize("core", CORES)
def test_the_price_in_own_c_rests_on_counted_instructions(what: str, core: str) -> None:
    graph = build_graph(example(what))
    kinds = {row.graph.ops[0].kind for row in counted(core, "hwkd")}
    assert uncounted(graph, core, kinds) == set()
    assert "Gemm" in uncounted(graph, core, kinds - {"Gemm"})


def assert_is_one_network(layers: Layers, folder: Path) -> None:
    """Hold float file against module, int8 file against simulated rounding and against the C."""
    floating, int8, samples = written(layers, folder)
    expected, found = (predict(open_session(path), samples) for path in (floating, int8))
    with torch.no_grad():
        module = build_module(layers, seed=0).eval()
        np.testing.assert_allclose(expected, module(torch.from_numpy(samples)).numpy(), atol=1e-5)
    assert np.abs(expected - found).max() < 0.05 * np.ptp(expected)

    arrays = stored_weights(onnx.load(floating))
    weights = {
        layer.name: (
            in_file_order(layer, torch.tensor(arrays[f"{layer.name}.weight"])),
            torch.tensor(arrays.get(f"{layer.name}.bias", [])),
        )
        for layer in layers.layers
        if LAYER_KINDS.get(layer.kind).has_weights
    }
    simulated = FakeQuantStudent(layers, weights, activation_ranges(floating, samples))
    with torch.no_grad():
        ours = simulated(torch.from_numpy(samples)).numpy()
    # ONNX Runtime adds an average in float32, so that a half may round either way; of what lies
    # between neighbours at quarters many are halves.
    equal = 0.95 if any(layer.kind == "avg_pool" for layer in layers.layers) else 0.999
    equal = 0.85 if any(layer.mode != "nearest" for layer in layers.layers) else equal
    assert (np.abs(ours - found) < 1e-6).mean() >= equal
    if host_compiler() is not None:
        project = build_project(int8)
        program = build_host_once(project, folder, find_host_compiler(), traces=False)
        in_c = run_host(program, project, to_c_inputs(project, samples)).outputs
        same = (in_c == reference_outputs(int8, project, samples)).mean()
        has_averages = any(layer.kind == "avg_pool" for layer in layers.layers)
        assert same == 1 or (has_averages and same >= equal)


@each_kind
def test_graph_is_that_of_the_file_and_every_operator_has_a_cost(what: str, tmp_path: Path):
    layers = example(what)
    export_onnx(build_module(layers, seed=0).eval(), layers, tmp_path / "float.onnx")
    graph = build_graph(layers)
    assert load_graph(tmp_path / "float.onnx").ops == graph.ops
    for device in ("cortex-m4", "cortex-m7", "esp32-s3"):
        assert not estimate_cost(graph, load_device(device)).unsupported_ops


@pytest.mark.slow
@each_kind
def test_module_simulation_file_and_c_are_one_network(what: str, tmp_path: Path):
    assert_is_one_network(example(what), tmp_path)


@each_kind
def test_tflite_takes_it_or_names_what_it_lacks(what: str, tmp_path: Path):
    graph = read_qdq(written(example(what), tmp_path)[1])
    if what in NOT_IN_TFLITE:
        with pytest.raises(ExportError, match=NOT_IN_TFLITE[what]):
            write_tflite(graph)
    else:
        assert write_tflite(graph)[4:8] == b"TFL3"


def removed(onnx: str) -> Kind:
    kind = OPERATORS.take(onnx)
    for registry, name in ((LAYER_KINDS, kind.layer), (ACTIVATIONS, kind.activation)):
        if name:
            registry.take(name)
    return kind


@contextmanager
def registered(kind: Kind) -> Iterator[None]:
    before = removed(kind.onnx)
    add_kind(kind)
    try:
        yield
    finally:
        removed(kind.onnx)
        add_kind(before)


def test_a_kind_is_a_row_a_torch_function_a_class_of_work_and_a_converter(tmp_path: Path):
    """Depth to space: blocks of channels become squares of positions."""

    def convert(node, segment, limits):
        del limits
        source, target = segment.tensor(node, 0), segment.output
        _, channels, height, width = target.shape
        split = segment.new_tensor("split", source, (1, channels, 2, 2, height // 2, width // 2))
        moved = segment.new_tensor("moved", source, (1, channels, height // 2, 2, width // 2, 2))
        return [
            View(name=f"{node.name}_split", inputs=(source.name,), output=split.name),
            View(
                name=f"{node.name}_moved", inputs=(split.name,), output=moved.name,
                permutation=(0, 1, 4, 2, 5, 3),
            ),
            View(name=node.name, inputs=(moved.name,), output=target.name),
        ]  # fmt: skip

    kind = Kind(
        onnx="DepthToSpace", layer="depth_to_space", keeps_scale=True, moves=True, work="copy",
        attributes=lambda _: {"blocksize": 2, "mode": "CRD"},
    )  # fmt: skip
    layers = Layers(
        input_shape=(2, 8, 8),
        layers=(
            Layer(name="stem", kind="conv", inputs=("input",), shape=(8, 8, 8)),
            Layer(name="up", kind="depth_to_space", inputs=("stem",), shape=(2, 16, 16)),
            Layer(
                name="mix", kind="conv", inputs=("up",), shape=(5, 14, 14), kernel=(3, 3),
                activation="relu",
            ),
            Layer(name="pool", kind="global_avg_pool", inputs=("mix",), shape=(5, 1, 1)),
            Layer(name="flat", kind="reshape", inputs=("pool",), shape=(5,)),
            Layer(name="logits", kind="linear", inputs=("flat",), shape=(3,)),
        ),
    )  # fmt: skip
    FUNCTIONS.register("depth_to_space")(lambda _: lambda x: F.pixel_shuffle(x, 2))
    CONVERTERS.register("DepthToSpace")(convert)
    try:
        with registered(kind):
            assert_is_one_network(layers, tmp_path)
            graph = build_graph(layers)
            assert load_graph(tmp_path / "float.onnx").ops == graph.ops
            cost = estimate_cost(graph, load_device("cortex-m4"))
            assert not cost.unsupported_ops
            latency_s = {row.name: row for row in cost.per_op}["up"].latency_s
            assert latency_s is not None
            assert latency_s > 0
    finally:
        FUNCTIONS.take("depth_to_space")
        CONVERTERS.take("DepthToSpace")
