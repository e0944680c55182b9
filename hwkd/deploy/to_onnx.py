"""Writes a trained student as ONNX, straight from its description and weights.

No tracing: every operator has its layer's name, an activation is an operator `<layer>_act`, and the
graph is the one that `hwkd.cost.graph` computes. Batch normalisation is folded in double precision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from hwkd.core.errors import ExportError
from hwkd.core.kinds import ACTIVATIONS, LAYER_KINDS, Kind, activated_name
from hwkd.core.student import Layer, Layers
from hwkd.io.paths import written_atomically

# The newest operator needed is HardSwish (14); 17 is the oldest set whose quantised form per
# channel every ONNX Runtime from 1.13 reads.
_OPSET = 17
_IR_VERSION = 8

_T = TypeVar("_T", np.ndarray[Any, np.dtype[np.float32]], torch.Tensor)
_Array: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]


def export_onnx(module: torch.nn.Module, layers: Layers, path: Path) -> None:
    """Write the float32 model; the batch is symbolic, input "input", outputs those of the heads.

    Args:
        module: a `StudentModule` of these layers, on any device.
        path: replaced in one step when everything went well.

    Raises:
        ExportError: if a weight is not finite or the file cannot be written.
    """
    save_model(onnx_model(module, layers), path)


def onnx_model(module: torch.nn.Module, layers: Layers) -> onnx.ModelProto:
    """Return the model that `export_onnx` writes, checked by onnx.

    Raises:
        ExportError: if a weight is not finite.
    """
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray[Any, Any]] = {}
    values: dict[str, onnx.ValueInfoProto] = {}
    outputs = {"input": "input"}
    for layer in layers.layers:
        inputs = [outputs[name] for name in layer.inputs]
        kind = LAYER_KINDS.get(layer.kind)
        if kind.is_lookup:
            weight, _ = folded_weights(module, layer)
            weight = in_file_order(layer, weight)
            constants[f"{layer.name}.weight"] = weight
            numbers = _whole_numbers(layer, inputs[0], constants)
            nodes += numbers
            shape = (*layer.shape[:-1], weight.ndim - 1)
            for node in numbers:
                values[node.output[0]] = _value(node.output[0], shape, TensorProto.INT64)
            inputs = [f"{layer.name}.weight", numbers[-1].output[0]]
        elif kind.has_weights:
            names = [f"{layer.name}.weight", f"{layer.name}.bias"]
            weight, bias = folded_weights(module, layer)
            constants.update(zip(names, (in_file_order(layer, weight), bias), strict=True))
            inputs += names
        nodes.append(_node(kind, layer, inputs, constants, name=layer.name))
        values[layer.name] = _value(layer.name, layer.shape)
        outputs[layer.name] = name = activated_name(layer)
        if layer.activation != "none":
            kind = ACTIVATIONS.get(layer.activation)
            nodes.append(_node(kind, layer, [layer.name], constants, name=name))
            values[name] = _value(name, layer.shape)
    heads = [values.pop(outputs[name]) for name in layers.heads]
    graph = helper.make_graph(
        nodes,
        "student",
        [_value("input", layers.input_shape)],
        heads,
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
        value_info=list(values.values()),
    )
    model = helper.make_model(
        graph,
        producer_name="hwkd",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
    onnx.checker.check_model(model)
    return model


def folded_weights(module: torch.nn.Module, layer: Layer) -> tuple[_Array, _Array]:
    """Return a layer's weight and bias with the batch normalisation multiplied in.

    A lookup has a bias of no values.

    Args:
        module: the `StudentModule` that holds the layer.

    Raises:
        ExportError: if a weight is not finite.
    """
    step = module.get_submodule(f"steps.{layer.name}")
    state = {
        name: tensor.detach().cpu().double().numpy() for name, tensor in step.state_dict().items()
    }
    weight = state["core.weight"]
    biases = 0 if LAYER_KINDS.get(layer.kind).is_lookup else weight.shape[0]
    bias = state.get("core.bias", np.zeros(biases))
    if layer.norm:
        epsilon = step.get_submodule("norm").eps
        scale = state["norm.weight"] / np.sqrt(state["norm.running_var"] + epsilon)
        weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        bias = (bias - state["norm.running_mean"]) * scale + state["norm.bias"]
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ExportError(
            f"layer {layer.name} has weights that are not finite numbers, expected a trained "
            "student; its training diverged: lower the learning rate"
        )
    return weight.astype(np.float32), bias.astype(np.float32)


def in_file_order(layer: Layer, weight: _T) -> _T:
    """Return weights in the file's order of axes; of those in a file, in the order of the layer."""
    kind = LAYER_KINDS.get(layer.kind)
    if kind.is_lookup:  # of one digit a file's table is the layer's
        *sizes, features = weight.shape
        if len(sizes) > 1:
            return weight.reshape(-1, features)
        return weight.reshape(*_digit_sizes(layer, sizes[0]), features)
    return weight.swapaxes(0, 1) if kind.is_transposed else weight


def _digit_sizes(layer: Layer, rows: int) -> tuple[int, ...]:
    """Return the axes of a table in a file, one for each digit."""
    sizes: tuple[int, ...] = ()
    while layer.base ** len(sizes) < rows:
        sizes = (*sizes, layer.base)
    return sizes


def _whole_numbers(
    layer: Layer, source: str, constants: dict[str, np.ndarray[Any, Any]]
) -> list[onnx.NodeProto]:
    """Return what makes digits of a lookup of real numbers; adds the base to `constants`."""
    whole, digits, base = (f"{layer.name}.{part}" for part in ("whole", "digits", "base"))
    constants[base] = np.array(layer.base, np.int64)
    return [
        helper.make_node("Cast", [source], [whole], name=whole, to=TensorProto.INT64),
        helper.make_node("Mod", [whole, base], [digits], name=digits),
    ]


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a model, whole or not at all.

    Raises:
        ExportError: if the folder is not writable or full; `path` is left as it was.
    """
    try:
        with written_atomically(path) as temporary:
            onnx.save(model, temporary)
    except OSError as error:
        raise ExportError(
            f"{path}: cannot write: {error.strerror}; choose another folder or make room"
        ) from error


def _node(
    kind: Kind,
    layer: Layer,
    inputs: list[str],
    constants: dict[str, np.ndarray[Any, Any]],
    *,
    name: str,
) -> onnx.NodeProto:
    """Return the operator of a layer or of its activation; adds its operands to `constants`."""
    operands = kind.operands(layer)
    for operand, value in operands.items():
        array = np.array(value)
        constants[operand] = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
    return helper.make_node(
        kind.onnx, [*inputs, *operands], [name], name=name, **kind.attributes(layer)
    )


def _value(name: str, shape: tuple[int, ...], kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["batch", *shape])
