"""Users' ONNX files as students: the layers that were exported, foreign forms, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ConfigError, ModelFileError
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.progress import silent
from hwkd.core.widened import outputs_of, widened
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.distill.own_model import OwnModel, normalised
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.resolve import resolve_student
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.nn.kept_channels import kept_channels
from hwkd.signals.pipeline import Pipeline
from hwkd.trace.onnx_student import read_onnx_student

discover("hwkd.search_spaces")
_SHAPES = [(3, 16, 16), (6, 32)]


@pytest.mark.parametrize("space", SEARCH_SPACES.names())
def test_an_exported_student_is_read_as_the_layers_and_weights_that_it_was(
    space: str, tmp_path: Path
) -> None:
    path, found = tmp_path / "student.onnx", SEARCH_SPACES.get(space)
    for seed in range(6):
        shape = _SHAPES[seed % 2]
        spec = found.suggest(RandomChooser(seed), input_shape=shape, num_outputs=4)
        layers = found.layers(spec)
        module = build_module(layers, seed=seed).eval()
        export_onnx(module, layers, path)
        read = read_onnx_student(path)
        # A file does not say which layers never learn; who trains it on may.
        folded = tuple(replace(layer, norm=False, frozen=False) for layer in layers.layers)
        assert read.layers.layers == folded
        assert read.layers.heads == layers.heads
        again = build_module(read.layers, seed=seed + 1).eval()
        own = OwnModel(spec=spec, layers=read.layers, weights=read.weights)
        x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed))
        assert own.fill(again, x.numpy()) == len(read.weights)
        torch.testing.assert_close(again(x), module(x), rtol=1e-3, atol=1e-4)


def test_numbers_that_are_looked_up_are_read_as_an_embedding(tmp_path: Path) -> None:
    found, path = SEARCH_SPACES.get("text"), tmp_path / "student.onnx"
    for seed, shape in enumerate([(1, 1, 24), (2, 1, 40), (3, 1, 24)]):
        spec = found.suggest(RandomChooser(seed), input_shape=shape, num_outputs=4)
        layers = found.layers(spec)
        module = build_module(layers, seed=seed).eval()
        export_onnx(module, layers, path)
        read = read_onnx_student(path)
        assert read.layers.layers == tuple(replace(each, norm=False) for each in layers.layers)
        again = build_module(read.layers, seed=seed + 1).eval()
        x = torch.randint(-128, 128, (3, *shape), generator=torch.Generator().manual_seed(seed))
        own = OwnModel(spec=spec, layers=read.layers, weights=read.weights)
        assert own.fill(again, x.float().numpy()) == len(read.weights)
        torch.testing.assert_close(again(x.float()), module(x.float()), rtol=1e-3, atol=1e-4)


def _saved(
    path: Path,
    nodes: list[onnx.NodeProto],
    shape: list[str | int],
    held: dict[str, np.ndarray],
    whole: dict[str, np.ndarray],
) -> Path:
    """Write a network of five answers; `held` are its floats, `whole` its integers."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "net",
        [value("pictures", TensorProto.FLOAT, shape)],
        [value("answer", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in held.items()]
        + [numpy_helper.from_array(a, name) for name, a in whole.items()],
    )  # fmt: skip
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opset), path)
    return path


def _foreign(path: Path, *, last: str = "Softmax", dilation: int = 1, scales: str = "") -> Path:
    """Write a network as other exporters do: channels last, Pad, ReduceMean, MatMul and Add."""
    random = np.random.default_rng(0)
    held = {
        "w1": random.normal(size=(8, 3, 3, 3)), "b1": random.normal(size=8),
        "scale": random.uniform(0.5, 2, 8), "shift": random.normal(size=8),
        "mean": random.normal(size=8), "var": random.uniform(0.5, 2, 8),
        "w2": random.normal(size=(8, 1, 3, 3)), "b2": random.normal(size=(1, 8, 1, 1)),
        "w3": random.normal(size=(8, 5)), "b3": random.normal(size=5),
        "low": np.array(0.0), "high": np.array(6.0),
    }  # fmt: skip
    whole = {"pads": np.array([0, 0, 0, 0, 0, 0, 1, 1])}
    node, window = helper.make_node, {"kernel_shape": [3, 3]}
    nodes = [
        *([node(scales, ["pictures", "high"], ["scaled"], name="by 6")] if scales else []),
        node("Transpose", ["scaled" if scales else "pictures"], ["first"], perm=[0, 3, 1, 2]),
        node("Pad", ["first", "pads"], ["padded"]),
        node("Conv", ["padded", "w1", "b1"], ["c1"], name="net/conv.1", strides=[2, 2],
             dilations=[dilation] * 2, **window),
        node("BatchNormalization", ["c1", "scale", "shift", "mean", "var"], ["n1"], epsilon=1e-3),
        node("Clip", ["n1", "low", "high"], ["a1"]),
        node("Conv", ["a1", "w2"], ["c2"], group=8, auto_pad="SAME_UPPER", **window),
        node("Add", ["c2", "b2"], ["d2"]),
        node("Add", ["a1", "d2"], ["s2"]),
        node("Relu", ["s2"], ["a2"]),
        node("ReduceMean", ["a2"], ["m"], axes=[2, 3], keepdims=0),
        node("MatMul", ["m", "w3"], ["p3"]),
        node("Add", ["b3", "p3"], ["y3"]),
        node(last, ["y3"], ["answer"], name="at the end"),
    ]  # fmt: skip
    return _saved(path, nodes, ["n", 8, 8, 3], held, whole)


@pytest.mark.parametrize("dilation", [1, 2])
def test_a_foreign_network_computes_what_its_file_does(dilation: int, tmp_path: Path) -> None:
    path = _foreign(tmp_path / "net.onnx", dilation=dilation)
    own = OwnModel.read(path)
    assert (own.spec.input_shape, own.spec.num_outputs) == ((3, 8, 8), 5)
    assert [layer.kind for layer in own.layers.layers] == [
        "conv", "conv", "add", "global_avg_pool", "reshape", "linear",
    ]  # fmt: skip
    module = build_module(own.layers, seed=0)
    x = np.random.default_rng(1).normal(size=(4, 8, 8, 3)).astype(np.float32)
    assert own.fill(module, x.transpose(0, 3, 1, 2)) == 3
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        logits = module.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    found = torch.softmax(logits, dim=1).numpy()
    np.testing.assert_allclose(found, session.run(None, {"pictures": x})[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("mode", ["half_pixel", "align_corners"])
def test_maps_that_grow_are_read_as_they_were_written(mode: str, tmp_path: Path) -> None:
    b = LayersBuilder((2, 6, 6))
    x = b.conv_transpose(b.conv("input", "deep", 3, stride=2), "grown", 4, kernel=4, norm=False)
    x = b.conv(b.upsample(x, "finer", factor=(2, 1), mode=mode), "mix", 3, norm=False)
    b.classifier(x, 3)
    layers = b.build()
    module = build_module(layers, seed=0).eval()
    export_onnx(module, layers, tmp_path / "net.onnx")
    own = OwnModel.read(tmp_path / "net.onnx")
    assert [replace(layer, norm=False) for layer in layers.layers] == [*own.layers.layers]
    again, inputs = build_module(own.layers, seed=1), torch.randn(2, 2, 6, 6)
    own.fill(again, inputs.numpy())
    torch.testing.assert_close(again.eval()(inputs), module(inputs), rtol=1e-3, atol=1e-5)


def _transformer(path: Path, *, scaled_by: str = "Div") -> Path:
    """Write a block as others export it: patches as tokens, norms with scales, heads, a mean."""
    random = np.random.default_rng(1)
    width, heads, tokens = 8, 2, 16
    held = {
        "patches": random.normal(size=(width, 3, 2, 2)), "root": np.array(2.0),
        "w5": random.normal(size=(width, 5)), "b5": random.normal(size=5),
    }  # fmt: skip
    for name in ("wq", "wk", "wv", "wo", "w1", "w2"):
        held[name] = random.normal(size=(width, width)) / 3
        held[f"{name}b"] = random.normal(size=width)
    for name in ("n1", "n2"):
        held |= {name: random.uniform(0.5, 2, width), f"{name}b": random.normal(size=width)}
    whole = {
        "list": np.array([0, width, tokens]), "heads": np.array([0, tokens, heads, width // heads]),
        "joined": np.array([0, tokens, width]), "from": np.array([4]), "to": np.array([999]),
        "along": np.array([1]),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("Conv", ["pictures", "patches"], ["c"], strides=[2, 2]),
        node("Reshape", ["c", "list"], ["l"]),
        node("Transpose", ["l"], ["t"], perm=[0, 2, 1]),
        node("LayerNormalization", ["t", "n1", "n1b"], ["n"], epsilon=1e-6),
    ]
    for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            node("MatMul", ["n", f"w{name}"], [f"{name}0"], name=f"to {name}"),
            node("Add", [f"{name}0", f"w{name}b"], [f"{name}1"]),
            node("Reshape", [f"{name}1", "heads"], [f"{name}2"]),
            node("Transpose", [f"{name}2"], [name], perm=order),
        ]
    nodes += [
        node("MatMul", ["q", "k"], ["s0"]),
        node(scaled_by, ["s0", "root"], ["s"]),
        node("Softmax", ["s"], ["a"], axis=-1),
        node("MatMul", ["a", "v"], ["m"]),
        node("Transpose", ["m"], ["m1"], perm=[0, 2, 1, 3]),
        node("Reshape", ["m1", "joined"], ["m2"]),
        node("MatMul", ["m2", "wo"], ["o"]),
        node("Add", ["wob", "o"], ["o1"]),
        node("Add", ["t", "o1"], ["r"]),
        node("LayerNormalization", ["r", "n2", "n2b"], ["n2o"], epsilon=1e-6),
        node("MatMul", ["n2o", "w1"], ["f"]),
        node("Add", ["f", "w1b"], ["f1"]),
        node("Relu", ["f1"], ["f2"]),
        node("MatMul", ["f2", "w2"], ["f3"]),
        node("Add", ["f3", "w2b"], ["f4"]),
        node("Add", ["r", "f4"], ["r2"]),
        node("Slice", ["r2", "from", "to", "along"], ["later"]),
        node("ReduceMean", ["later"], ["mean"], axes=[1], keepdims=0),
        node("Gemm", ["mean", "w5", "b5"], ["answer"]),
    ]
    return _saved(path, nodes, ["n", 3, 8, 8], held, whole)


@pytest.mark.parametrize("scaled_by", ["Div", "Mul"])
def test_a_transformer_block_of_another_exporter_computes_what_its_file_does(
    scaled_by: str, tmp_path: Path
) -> None:
    path = _transformer(tmp_path / "net.onnx", scaled_by=scaled_by)
    own = OwnModel.read(path)
    kinds = [layer.kind for layer in own.layers.layers]
    assert {"softmax", "layer_norm", "slice"} <= {*kinds}
    assert kinds.count("conv") == 7
    module = build_module(own.layers, seed=0)
    x = np.random.default_rng(1).normal(size=(4, 3, 8, 8)).astype(np.float32)
    own.fill(module, x)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        found = module.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, session.run(None, {"pictures": x})[0], rtol=1e-3, atol=1e-4)


def test_a_normalisation_that_is_added_keeps_no_scale_and_is_named(tmp_path: Path) -> None:
    model = onnx.load(_transformer(tmp_path / "net.onnx"))
    for node in model.graph.node:
        if node.output[0] == "r":
            node.name, node.input[0] = "skip", "n"
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(ModelFileError, match=r"node 'skip' \(Add\) reads a normalisation with a"):
        read_onnx_student(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"last": "Tanh"}, r"node 'at the end' \(Tanh\) has no layer kind"),
        ({"last": "Sigmoid"}, r"node 'at the end' \(Sigmoid\) answers through a sigmoid"),
        ({"scales": "Div"}, r"node 'by 6' \(Div\) scales the input.* say --teacher-input"),
        ({"scales": "Mul"}, r"node 'by 6' \(Mul\) scales the input"),
    ],
)
def test_a_node_that_no_layer_stands_for_is_named(
    changes: dict[str, object], match: str, tmp_path: Path
) -> None:
    with pytest.raises((ModelFileError, ConfigError), match=match):
        read_onnx_student(_foreign(tmp_path / "net.onnx", **changes))


@pytest.mark.parametrize("space", ["plain", "depthwise", "narrow_deep"])
def test_a_channel_that_the_narrower_form_keeps_computes_what_it_did(space: str) -> None:
    """Where the channels that are left out are dead, nothing is lost, normalised or not."""
    found = SEARCH_SPACES.get(space)
    for seed in range(4):
        shape = (3 - 2 * (seed % 2), 16, 16)
        spec = found.suggest(RandomChooser(seed), input_shape=shape, num_outputs=4)
        plain = found.layers(spec)
        layers = replace(plain, layers=tuple(replace(each, norm=False) for each in plain.layers))
        narrow = widened(layers, 0.5)
        module = build_module(layers, seed=seed).eval()
        weights = {
            name: {key: value.numpy() for key, value in step.state_dict().items()}
            for name, step in module.steps.items()
            if step.state_dict()
        }
        kept = kept_channels(layers, narrow, weights)
        for name, values in weights.items():
            if name not in outputs_of(layers):
                dead = np.setdiff1d(np.arange(len(values["core.weight"])), kept[name])
                for value in values.values():  # shares memory with the module
                    value[dead] = 0.0
        own = OwnModel(spec=spec, layers=layers, weights=weights)
        x = torch.randn(64, *shape, generator=torch.Generator().manual_seed(seed))
        smaller = build_module(normalised(narrow), seed=seed + 1)
        assert own.fill(smaller, x.numpy()) == len(weights)
        with torch.no_grad():
            torch.testing.assert_close(smaller.eval()(x), module(x), rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(smaller.train()(x), module(x), rtol=1e-2, atol=1e-3)


def test_the_student_is_given_what_the_model_was_trained_on(tmp_path: Path) -> None:
    found = SEARCH_SPACES.get("plain")
    spec = found.suggest(RandomChooser(0), input_shape=(3, 8, 8), num_outputs=2)
    layers = found.layers(spec)
    export_onnx(build_module(layers, seed=0).eval(), layers, tmp_path / "mine.onnx")
    random = np.random.default_rng(0)
    raw = random.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x_train=raw, y_train=np.arange(40) % 2)
    request = DistillRequest(
        student=str(tmp_path / "mine.onnx"), data=str(tmp_path / "data.npz"),
        out=tmp_path / "out", teacher_inputs=("unit,mean=0.5,std=0.25",),
    )  # fmt: skip
    resolved = resolve_student(request, progress=silent)
    inputs = resolved.data.train.inputs
    assert (inputs.min(), inputs.max()) == pytest.approx((-2.0, 2.0), abs=1e-5)
    assert resolved.config.teacher.inputs == ("normalised",)  # and so it sees the same
    assert resolved.config.training.rate_ratio == 0.1  # weights that are good are not forgotten
    prepared = Pipeline.of(resolved.data.pipeline.record()).apply(raw)
    np.testing.assert_allclose(prepared, (raw / 255 - 0.5) / 0.25, atol=1e-5)
