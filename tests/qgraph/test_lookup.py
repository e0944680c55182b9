"""Lookups of int8 files: every input names a row, and what makes no whole numbers is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hwkd.core.errors import ExportError
from hwkd.core.layers_builder import LayersBuilder
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.nn.build import build_module
from hwkd.qgraph.ir import Lookup
from hwkd.qgraph.read_qdq import read_qdq


@pytest.fixture
def path(tmp_path: Path) -> Path:
    b = LayersBuilder((1, 9, 2))
    rows = b.embedding("input", "rows", 5, base=16)
    b.classifier(b.transpose(rows, "along", (2, 0, 1)), 3)
    export_onnx(build_module(b.build(), seed=0).eval(), b.build(), tmp_path / "float.onnx")
    samples = np.random.default_rng(0).integers(0, 16, (32, 1, 9, 2)).astype(np.float32)
    quantise_int8(tmp_path / "float.onnx", tmp_path / "int8.onnx", samples)
    return tmp_path / "int8.onnx"


def _changed(path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def test_rows_are_those_of_the_file_in_the_scale_of_the_output(path: Path) -> None:
    graph = read_qdq(path)
    (lookup,) = (op for op in graph.ops if isinstance(op, Lookup))
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    table = stored["rows.weight_quantized"]
    assert table.shape == (16, 16, 5)
    np.testing.assert_array_equal(lookup.rows, table.reshape(256, 5))
    source = graph.tensors[lookup.inputs[0]]
    assert (float(source.scale), source.zero_point, lookup.base) == (1.0, 0, 16)


def _another_base(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == "rows.base":
            tensor.CopyFrom(numpy_helper.from_array(np.array(8, np.int64), tensor.name))


def _no_power_of_two(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == "rows.base":
            tensor.CopyFrom(numpy_helper.from_array(np.array(15, np.int64), tensor.name))


def _wider_steps(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == "input_scale":
            tensor.CopyFrom(numpy_helper.from_array(np.array(0.5, np.float32), tensor.name))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_another_base, r"'rows' \(GatherND\): a table of \[16, 16\] rows for 2 digits"),
        (_no_power_of_two, r"\(Mod\): its divisor is none of 2, 4, 8"),
        (_wider_steps, r"\(Cast\): makes whole numbers of what is not quantised in steps of 1"),
    ],
)
def test_other_numbers_are_refused_by_node(
    change: Callable[[onnx.ModelProto], None], match: str, path: Path
) -> None:
    with pytest.raises(ExportError, match=match) as refused:
        read_qdq(_changed(path, change))
    assert "\n" not in str(refused.value)
