"""Writes a trained student as ONNX, straight from its description and weights.

No tracing: every operator has its layer's name, an activation is an operator `<layer>_act`, and the
graph is the one that `hwkd.cost.graph` computes. Batch normalisation is folded in double precision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from hwkd.core.errors import ExportError
from hwkd.core.student import ONNX_ACTIVATIONS, ONNX_KINDS, Layer, Layers
from hwkd.io.paths import written_atomically

__all__ = ["export_onnx", "folded_weights", "onnx_model", "save_model"]

# The newest operator needed is HardSwish (14); 17 is the oldest set whose quantised form per
# channel every ONNX Runtime from 1.13 reads.
_OPSET = 17
_IR_VERSION = 8

_Array: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]


def export_onnx(module: torch.nn.Module, layers: Layers, path: Path) -> None:
    """Write the float32 model; the batch is symbolic, input "input", output the last layer's.

    Args:
        module: a `StudentModule` of these layers, on any device.
        layers: the description.
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
    values: list[onnx.ValueInfoProto] = []
    outputs = {"input": "input"}
    for layer in layers.layers:
        inputs = [outputs[name] for name in layer.inputs]
        nodes.append(_node(layer, inputs, module, constants))
        values.append(_value(layer.name, layer.shape))
        outputs[layer.name] = layer.name
        if layer.activation != "none":
            outputs[layer.name] = f"{layer.name}_act"
            nodes.append(_activation_node(layer, constants))
            values.append(_value(outputs[layer.name], layer.shape))
    graph = helper.make_graph(
        nodes,
        "student",
        [_value("input", layers.input_shape)],
        [values.pop()],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
        value_info=values,
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

    Args:
        module: the `StudentModule` that holds the layer.
        layer: a convolution or a linear layer.

    Raises:
        ExportError: if a weight is not finite.
    """
    step = module.get_submodule(f"steps.{layer.name}")
    state = {
        name: tensor.detach().cpu().double().numpy() for name, tensor in step.state_dict().items()
    }
    weight = state["core.weight"]
    bias = state.get("core.bias", np.zeros(weight.shape[0]))
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
    layer: Layer,
    inputs: list[str],
    module: torch.nn.Module,
    constants: dict[str, np.ndarray[Any, Any]],
) -> onnx.NodeProto:
    """Return a layer's operator without its activation; adds what it needs to `constants`."""
    attributes: dict[str, Any] = {}
    window = {
        "kernel_shape": list(layer.kernel),
        "strides": list(layer.stride),
        "pads": list(layer.pads),
    }
    if layer.kind in ("conv", "linear"):
        names = [f"{layer.name}.weight", f"{layer.name}.bias"]
        constants.update(zip(names, folded_weights(module, layer), strict=True))
        inputs = inputs + names
        attributes = {**window, "group": layer.groups} if layer.kind == "conv" else {"transB": 1}
    elif layer.kind in ("avg_pool", "max_pool"):
        attributes = window
    elif layer.kind == "transpose":
        attributes = {"perm": [0, *(axis + 1 for axis in layer.permutation)]}
    elif layer.kind == "reshape":
        constants[f"{layer.name}.shape"] = np.array([-1, *layer.shape], dtype=np.int64)
        inputs = [*inputs, f"{layer.name}.shape"]
    return helper.make_node(
        ONNX_KINDS[layer.kind], inputs, [layer.name], name=layer.name, **attributes
    )


def _activation_node(layer: Layer, constants: dict[str, np.ndarray[Any, Any]]) -> onnx.NodeProto:
    inputs = [layer.name]
    attributes: dict[str, Any] = {}
    if layer.activation == "relu6":
        constants["relu6.low"] = np.array(0.0, dtype=np.float32)
        constants["relu6.high"] = np.array(6.0, dtype=np.float32)
        inputs += ["relu6.low", "relu6.high"]
    elif layer.activation == "hard_sigmoid":
        # The slope of torch's hard sigmoid; ONNX defaults to another one.
        attributes = {"alpha": 1.0 / 6.0, "beta": 0.5}
    name = f"{layer.name}_act"
    return helper.make_node(
        ONNX_ACTIVATIONS[layer.activation], inputs, [name], name=name, **attributes
    )


def _value(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
