"""Damaged, hostile and foreign model files: one clear line each, quickly."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from support.onnx_networks import NetworkBuilder, kws01

from hwkd.core.errors import ModelFileError
from hwkd.trace.onnx_file import load_graph


def dense_model(*, external: str | None = None) -> onnx.ModelProto:
    """One fully connected layer whose weights may lie in an external file."""
    b = NetworkBuilder(8)
    model = b.model(b.dense("input", 4))
    if external is not None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=external)
    return model


def refused(model: onnx.ModelProto, tmp_path: Path, match: str) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    with pytest.raises(ModelFileError, match=match) as caught:
        load_graph(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"m\.onnx: No such file or directory; give an ONNX"):
        load_graph(tmp_path / "m.onnx")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(share: float, tmp_path: Path) -> None:
    builder, output = kws01()
    data = builder.model(output).SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError, match="cut"):
        load_graph(path)


@pytest.mark.parametrize(
    "data",
    [b"", b"not a model at all", b"\x00" * 1000, random.Random(0).randbytes(4096)],
    ids=["empty", "text", "zeros", "noise"],
)
def test_a_file_of_another_format(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelFileError):
        load_graph(path)


def test_a_dynamic_image_size(tmp_path: Path) -> None:
    model = dense_model()
    del model.graph.node[:]
    del model.graph.input[:]
    shape = ["batch", 3, "height", 32]
    model.graph.input.append(helper.make_tensor_value_info("input", TensorProto.FLOAT, shape))
    model.graph.node.append(helper.make_node("Relu", ["input"], ["n0"]))
    refused(model, tmp_path, r"dynamic shape \(batch, 3, height, 32\); only the batch")


def test_a_shape_that_depends_on_data(tmp_path: Path) -> None:
    b = NetworkBuilder(8)
    y = b.node("NonZero", ["input"], (2, 1))
    refused(b.model(y), tmp_path, "NonZero.* is not fixed; export the model with static shapes")


def test_shapes_that_contradict_each_other(tmp_path: Path) -> None:
    b = NetworkBuilder(8)
    y = b.node("Gemm", ["input", b.weights(9, 4)], (1, 4))
    refused(b.model(y), tmp_path, "shapes do not fit together")


def test_an_operator_of_an_unknown_domain(tmp_path: Path) -> None:
    model = dense_model()
    model.graph.node[0].domain = "my.company"
    model.opset_import.add(domain="my.company", version=1)
    refused(model, tmp_path, r"operator Gemm of the domain 'my\.company'.* is not standard ONNX")


def test_an_operator_that_does_not_exist(tmp_path: Path) -> None:
    model = dense_model()
    model.graph.node[0].op_type = "Gem"
    refused(model, tmp_path, r"Gem .*is no operator of ONNX opset 17")


@pytest.mark.parametrize("version", [0, 99])
def test_an_unknown_opset(version: int, tmp_path: Path) -> None:
    model = dense_model()
    model.opset_import[0].version = version
    refused(model, tmp_path, f"has {version} of the standard operators; expected an opset up to")


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/hostname", "", "a/../../w.bin"])
def test_external_data_outside_the_folder(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(128))
    refused(dense_model(external=location), folder, "outside the model's folder")


def test_external_data_behind_a_link_that_leaves_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(128))
    (folder / "weights.bin").symlink_to(tmp_path / "weights.bin")
    refused(dense_model(external="weights.bin"), folder, "outside the model's folder")


def test_external_data_that_is_missing_or_too_short(tmp_path: Path) -> None:
    refused(dense_model(external="w.bin"), tmp_path, r"'w\.bin', which does not exist")
    (tmp_path / "w.bin").write_bytes(bytes(100))
    refused(dense_model(external="w.bin"), tmp_path, "needs 128 bytes .* which has 100 bytes")


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_float16_weights_and_inputs(kind: int, tmp_path: Path) -> None:
    model = dense_model()
    model.graph.initializer[0].data_type = kind
    refused(model, tmp_path, "is b?float16; expected float32 or int8")
    model = dense_model()
    model.graph.input[0].type.tensor_type.elem_type = kind
    refused(model, tmp_path, "'input' is b?float16; expected float32 or int8")


def test_float16_inside_the_graph(tmp_path: Path) -> None:
    b = NetworkBuilder(8)
    half = b.node("Cast", ["input"], (1, 8), to=TensorProto.FLOAT16)
    y = b.node("Cast", [half], (1, 8), to=TensorProto.FLOAT)
    refused(b.model(y), tmp_path, f"tensor '{half}' is float16")


def test_a_tensor_that_claims_two_gigabytes_costs_nothing(tmp_path: Path) -> None:
    model = dense_model()
    model.graph.initializer[0].dims[:] = [2**15, 2**14]
    started = time.perf_counter()
    refused(model, tmp_path, "claims 2,147,483,648 bytes and holds 128")
    assert time.perf_counter() - started < 1


def test_an_activation_that_claims_two_gigabytes(tmp_path: Path) -> None:
    b = NetworkBuilder(8)
    sizes = b.constant(np.array([2**14, 2**14, 2**14, 8], np.int64))
    y = b.node("Expand", ["input", sizes], (2**14, 2**14, 2**14, 8))
    refused(b.model(y), tmp_path, "no device that hwkd knows holds it")


def test_negative_sizes(tmp_path: Path) -> None:
    model = dense_model()
    model.graph.initializer[0].dims[:] = [-8, -4]
    refused(model, tmp_path, "sizes must not be negative")


def test_a_cycle(tmp_path: Path) -> None:
    b = NetworkBuilder(8)
    first = b.node("Add", ["input", "n1"], (1, 8))
    second = b.relu(first)
    refused(b.model(second), tmp_path, r"cycle through node 'n0_op' \(Add\)")


def test_a_cycle_of_quantisation_nodes(tmp_path: Path) -> None:
    b = NetworkBuilder(8)
    b.shapes["n1"] = (1, 8)
    b.node("Identity", ["n1"], (1, 8))
    y = b.node("Identity", ["n0"], (1, 8))
    b.relu(y)
    refused(b.model("n2"), tmp_path, "cycle")


def test_an_input_that_nothing_produces(tmp_path: Path) -> None:
    b = NetworkBuilder(8)
    refused(b.model(b.node("Add", ["input", "ghost"], (1, 8))), tmp_path, "'ghost', which nothing")


def test_an_output_that_nothing_produces(tmp_path: Path) -> None:
    model = dense_model()
    model.graph.output[0].name = "ghost"
    refused(model, tmp_path, "output 'ghost' is produced by no operator")


def test_a_network_without_inputs(tmp_path: Path) -> None:
    model = dense_model()
    del model.graph.input[:]
    refused(model, tmp_path, "has no input")


def test_a_flood_of_operators(tmp_path: Path) -> None:
    model = dense_model()
    for index in range(10_001):
        model.graph.node.append(helper.make_node("Relu", ["n0"], [f"r{index}"]))
    refused(model, tmp_path, "hwkd reads up to 10,000")


@pytest.mark.slow
def test_damaged_bytes_are_refused_or_read_but_never_crash(tmp_path: Path) -> None:
    builder, output = kws01()
    data = builder.model(output).SerializeToString()
    header = [index for index in range(len(data)) if index < 400 or index > len(data) - 400]
    generator = random.Random(0)
    refusals = 0
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.choice(header)] = generator.randrange(256)
        path = tmp_path / "m.onnx"
        path.write_bytes(damaged)
        try:
            load_graph(path)
        except ModelFileError as error:
            assert "\n" not in str(error)
            refusals += 1
    assert refusals > 50


def changed_dense(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    model = dense_model()
    change(model)
    return model


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: setattr(m.graph.node[0].attribute[0], "ref_attr_name", "o"), "from a function"),
        (lambda m: m.graph.node.add().CopyFrom(m.graph.node[0]), "is written twice"),
        (lambda m: m.graph.initializer.add().CopyFrom(m.graph.initializer[0]), "is written twice"),
        (
            lambda m: setattr(m.graph.initializer[0], "raw_data", b""),
            "claims 128 bytes and holds 0",
        ),
        (lambda m: m.graph.initializer[0].dims.extend([1] * 40), "has 42 dimensions"),
        (lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"), "has no shape"),
    ],
)
def test_files_that_contradict_themselves(
    change: Callable[[onnx.ModelProto], object], match: str, tmp_path: Path
) -> None:
    refused(changed_dense(change), tmp_path, match)


@pytest.mark.parametrize("location", ["\0", "a" * 5000])
def test_external_data_under_a_name_that_no_file_can_have(location: str, tmp_path: Path) -> None:
    refused(dense_model(external=location), tmp_path, "which is no file name")


def test_a_tensor_whose_values_lie_in_a_field_of_another_type(tmp_path: Path) -> None:
    model = dense_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_type = TensorProto.INT64
    tensor.float_data.extend([0.0] * 32)
    refused(model, tmp_path, "claims 256 bytes and holds 0")


@pytest.mark.parametrize(
    ("attributes", "match"),
    [
        ({"strides": [0, 1]}, "malformed|expected 1 or more|do not fit"),
        ({"group": 3}, "in 3 groups for an input of shape"),
        ({"group": 0}, "in 0 groups|do not fit"),
        ({"pads": [0, 0, 1]}, "pads|do not fit"),
    ],
)
def test_windows_that_do_not_fit(attributes: dict[str, object], match: str, tmp_path: Path) -> None:
    b = NetworkBuilder(2, 8, 8)
    y = b.node("Conv", ["input", b.weights(4, 2, 3, 3)], (1, 4, 6, 6), **attributes)
    refused(b.model(y), tmp_path, match)


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    data = dense_model().SerializeToString().replace(b"n0_op", b"n0\xff\xfep")
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="holds names that are not text"):
        load_graph(path)


@pytest.mark.slow
def test_more_operators_than_can_be_placed_in_memory_in_seconds(tmp_path: Path) -> None:
    b = NetworkBuilder(1)
    x = "input"
    for _ in range(5_001):
        x = b.relu(x)
    refused(b.model(x), tmp_path, "5,001 operators that run; hwkd costs up to 5,000")
