"""The ONNX file against torch, against torch's own exporter and against bad circumstances."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ExportError
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layer, Layers
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_onnx import export_onnx, folded_weights, onnx_model
from hwkd.io.discovery import discover
from hwkd.nn.build import StudentModule, build_module

discover("hwkd.search_spaces")


def trained(layers: Layers) -> StudentModule:
    """A module whose every normalisation has statistics, scale and shift of its own."""
    module = build_module(layers, seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if ".norm." in name and tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5, generator=generator)
    return module


def pools_and_uneven_pads() -> Layers:
    layers = (
        Layer(
            name="conv", kind="conv", inputs=("input",), shape=(4, 8, 8), kernel=(4, 2),
            pads=(1, 0, 2, 1), norm=True, activation="relu6",
        ),
        Layer(
            name="max", kind="max_pool", inputs=("conv",), shape=(4, 4, 4), kernel=(2, 2),
            stride=(2, 2),
        ),
        Layer(
            name="mean", kind="avg_pool", inputs=("max",), shape=(4, 2, 2), kernel=(3, 3),
            activation="hard_swish",
        ),
        Layer(name="flat", kind="reshape", inputs=("mean",), shape=(16,)),
        Layer(
            name="hidden", kind="linear", inputs=("flat",), shape=(6,), norm=True,
            activation="hard_sigmoid",
        ),
        Layer(name="logits", kind="linear", inputs=("hidden",), shape=(3,)),
    )  # fmt: skip
    return Layers(input_shape=(2, 8, 8), layers=layers)


def test_outputs_equal_torch_on_layers_that_no_space_uses(tmp_path: Path) -> None:
    layers = pools_and_uneven_pads()
    module = trained(layers)
    x = torch.randn(5, 2, 8, 8)
    export_onnx(module, layers, tmp_path / "student.onnx")
    outputs = predict(open_session(tmp_path / "student.onnx"), x.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(outputs, module(x).numpy(), atol=1e-5)


@pytest.mark.parametrize("space_name", SEARCH_SPACES.names())
def test_operators_are_those_of_the_torch_exporter(space_name: str) -> None:
    space = SEARCH_SPACES.get(space_name)
    spec = space.suggest(RandomChooser(0), input_shape=(1, 8, 8), num_outputs=4)
    layers = space.layers(spec)
    module = trained(layers)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that needs no further package announces its successor.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(1, 1, 8, 8),), buffer, dynamo=False, opset_version=17
        )
    reference = onnx.load_from_string(buffer.getvalue())
    expected = Counter(node.op_type for node in reference.graph.node)
    # It writes shapes as Constant nodes and equal tensors as Identity nodes; we store both.
    del expected["Constant"], expected["Identity"]
    # Normalisation of a dense layer it writes beside the product; we store both as one.
    folded = expected.pop("BatchNormalization", 0)
    expected.update({"Gemm": folded, "MatMul": -folded})
    # Our module picks positions before a 1x1 convolution instead of giving it a stride.
    # A space that cuts maps has Slice in both; then both are left out.
    found = Counter(node.op_type for node in onnx_model(module, layers).graph.node)
    del expected["Slice"], found["Slice"]
    assert found == expected


def test_names_are_the_layers_and_the_batch_is_symbolic() -> None:
    layers = pools_and_uneven_pads()
    graph = onnx_model(trained(layers), layers).graph
    assert [node.name for node in graph.node] == [
        "conv", "conv_act", "max", "mean", "mean_act", "flat", "hidden", "hidden_act", "logits",
    ]  # fmt: skip
    for value, sizes in ((graph.input[0], [2, 8, 8]), (graph.output[0], [3])):
        axes = value.type.tensor_type.shape.dim
        assert axes[0].dim_param == "batch"
        assert [axis.dim_value for axis in axes[1:]] == sizes
    assert (graph.input[0].name, graph.output[0].name) == ("input", "logits")


def test_normalisation_folds_by_its_closed_form() -> None:
    builder = LayersBuilder((1, 1, 1))
    builder.conv("input", "conv", 1)
    layers = builder.build()
    module = build_module(layers, seed=0)
    values = {"weight": 3.0, "bias": 0.5, "running_mean": 2.0, "running_var": 4.0 - 1e-5}
    with torch.no_grad():
        for name, value in values.items():
            module.state_dict()[f"steps.conv.norm.{name}"].fill_(value)
        module.state_dict()["steps.conv.core.weight"].fill_(10.0)
    weight, bias = folded_weights(module, layers.layers[0])
    # scale 3 / sqrt(4) = 1.5, so weight 10 * 1.5 and bias (0 - 2) * 1.5 + 0.5
    assert weight.item() == pytest.approx(15.0)
    assert bias.item() == pytest.approx(-2.5)


def test_weights_that_are_not_finite_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    layers = pools_and_uneven_pads()
    module = trained(layers)
    with torch.no_grad():
        module.state_dict()["steps.conv.core.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(ExportError, match="layer conv has weights that are not finite"):
        export_onnx(module, layers, tmp_path / "student.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    layers = pools_and_uneven_pads()
    with pytest.raises(ExportError, match=r"student\.onnx: cannot write: Not a directory"):
        export_onnx(trained(layers), layers, tmp_path / "file" / "deeper" / "student.onnx")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    layers = pools_and_uneven_pads()
    path = tmp_path / "student.onnx"
    path.write_bytes(b"old")

    def full(model: onnx.ModelProto, target: str) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hwkd.deploy.to_onnx.onnx.save", full)
    with pytest.raises(ExportError, match="No space left"):
        export_onnx(trained(layers), layers, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
