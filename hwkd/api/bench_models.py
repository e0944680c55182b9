"""Writes the models of a designed experiment, ready to be timed on a board."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hwkd.api.bench_kit import BenchKit
from hwkd.core.device import Device
from hwkd.core.errors import ConfigError
from hwkd.core.graph import Op, OpGraph
from hwkd.cost.fit.experiment import design_experiment
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.io.paths import folder_written_once

__all__ = ["write_bench_kit"]

_OPSET = 17
_CALIBRATION_SAMPLES = 16


def write_bench_kit(device: Device, out: Path, count: int) -> BenchKit:
    """Write `count` one-operator models, float and int8, with a CSV to fill in.

    Args:
        device: board that will be measured; named in the instructions.
        out: folder that must not exist yet.
        count: number of models.

    Raises:
        ConfigError: if the folder exists.
    """
    if out.exists():
        raise ConfigError(f"--out {out}: exists already; give the name of a new folder")
    experiment = design_experiment(count)
    with folder_written_once(out) as draft:
        for graph in experiment.graphs:
            name = graph.ops[0].name
            (draft / "float").mkdir(exist_ok=True)
            (draft / "int8").mkdir(exist_ok=True)
            onnx.save(_onnx_model(graph), str(draft / "float" / f"{name}.onnx"))
            shape = graph.tensors["input"].shape[1:]
            samples = np.random.default_rng(0).standard_normal((_CALIBRATION_SAMPLES, *shape))
            quantise_int8(
                draft / "float" / f"{name}.onnx", draft / "int8" / f"{name}.onnx",
                samples.astype(np.float32),
            )  # fmt: skip
        (draft / "measurements.csv").write_text(_template(experiment.graphs), encoding="utf-8")
        (draft / "README.md").write_text(_instructions(device, count), encoding="utf-8")
    left = median(experiment.uncertainty.values())
    return BenchKit(
        models=count,
        folder=out,
        factor_before=float(np.exp(experiment.prior_uncertainty)),
        factor_after=float(np.exp(left)),
    )


def _onnx_model(graph: OpGraph) -> onnx.ModelProto:
    """Return a float model of one operator with random weights; its batch is symbolic."""
    op = graph.ops[0]
    constants = _weights(op, graph)
    names = [tensor.name for tensor in constants]
    node = helper.make_node(
        op.kind, [*op.inputs, *names], list(op.outputs), name=op.name, **_attributes(op, graph)
    )
    sides = [_value_info(name, graph) for name in ("input", "output")]
    body = helper.make_graph([node], op.name, [sides[0]], [sides[1]], constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _value_info(name: str, graph: OpGraph) -> onnx.ValueInfoProto:
    shape: list[str | int | None] = ["batch", *graph.tensors[name].shape[1:]]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _weights(op: Op, graph: OpGraph) -> list[onnx.TensorProto]:
    if not op.weights:
        return []
    outputs = op.biases
    shape: tuple[int, ...] = (op.weights // outputs, outputs)
    if op.kind == "Conv":
        shape = (outputs, graph.tensors["input"].shape[1] // op.groups, *op.kernel)
    values = np.random.default_rng(1).standard_normal(shape).astype(np.float32) * 0.1
    bias = np.zeros(outputs, dtype=np.float32)
    return [numpy_helper.from_array(values, "weight"), numpy_helper.from_array(bias, "bias")]


def _attributes(op: Op, graph: OpGraph) -> dict[str, Any]:
    if op.kind == "Conv":
        return {
            "kernel_shape": op.kernel, "strides": op.stride, "pads": op.pads, "group": op.groups,
        }  # fmt: skip
    if op.kind == "MaxPool":
        return {"kernel_shape": op.kernel, "strides": op.stride}
    if op.kind == "Transpose":
        return {"perm": (0, 2, 3, 1)}
    if op.kind == "Softmax":
        return {"axis": len(graph.tensors["input"].shape) - 1}
    return {}


def _template(graphs: tuple[OpGraph, ...]) -> str:
    text = io.StringIO()
    text.write(
        "# Fill in the median of repeated inferences. For cycles, rename the column: cycles\n"
    )
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "latency_ms"])
    writer.writerows([f"int8/{graph.ops[0].name}.onnx", ""] for graph in graphs)
    return text.getvalue()


def _instructions(device: Device, count: int) -> str:
    return f"""# Bench kit for {device.name} ({device.board})

{count} models of one operator each. Together they hold every kind of work that hwkd's latency model
prices, in different proportions: channels that are no multiple of four, few and many pixels,
padding, stride, small and large weights.

1. Convert each file of `int8/` for your runtime and time at least ten inferences on the board, at
   the clock that the device file states. Time one inference of the whole model, nothing else.
2. Write the median into `measurements.csv`. A model that does not run: delete its line.
3. `hwkd devices calibrate --device your-board.toml --measurements measurements.csv`
"""
