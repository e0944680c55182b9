"""Small networks of random weights, and what writes them as int8 ONNX files: tools, or by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from benchmarks.lib.c_networks import NetworkBuilder, Samples

# Networks.


def image() -> NetworkBuilder:
    """Convolutions of three kinds, a sum, pooling and a linear layer."""
    net = NetworkBuilder((3, 12, 10))
    entry = net.conv(8, (3, 3), stride=(2, 2))
    net.depthwise((3, 3))
    net.conv(8, relu="")
    net.add(net.last, entry, "Relu")
    net.pool("MaxPool", (2, 2))
    net.conv(6, (3, 3), relu="Relu6")
    net.classifier(5)
    return net


def attention() -> NetworkBuilder:
    """Activations that become tables, a gate, a softmax, products of activations."""
    net = NetworkBuilder((2, 6, 4))
    features = net.conv(8, (3, 3), relu="HardSwish")
    net.global_average()
    gate = net.conv(8, relu="Sigmoid")
    net.mul(features, gate)
    net.reshape(1, 8, 24)
    tokens = net.last
    turned = net.transpose(0, 2, 1)
    net.matmul(tokens, turned)
    net.node("Softmax", [net.last], (1, 8, 8), axis=-1)
    net.matmul(net.last, tokens)
    net.reshape(1, 8 * 24)
    net.linear(4)
    return net


def signal() -> NetworkBuilder:
    """Convolutions and pooling over time."""
    net = NetworkBuilder((3, 40))

    def conv(channels: int, depth: int, taps: int, length: int, **attributes: Any) -> None:
        weights = net.rng.normal(size=(channels, depth, taps)) / np.sqrt(depth * taps)
        bias = 0.1 * net.rng.normal(size=channels)
        operands = [net.constant(item.astype(np.float32)) for item in (weights, bias)]
        net.node("Conv", [net.last, *operands], (1, channels, length), **attributes)
        net.activation("Relu")

    conv(8, 3, 5, 20, strides=[2], pads=[2, 2])
    conv(8, 1, 3, 20, group=8, auto_pad="SAME_UPPER")
    net.node("MaxPool", [net.last], (1, 8, 10), kernel_shape=[2], strides=[2])
    conv(6, 8, 3, 6, dilations=[2])
    net.node("AveragePool", [net.last], (1, 6, 3), kernel_shape=[2], strides=[2])
    net.node("GlobalAveragePool", [net.last], (1, 6, 1))
    net.reshape(1, 6)
    net.linear(4)
    return net


def means() -> NetworkBuilder:
    """Means as x.mean(...) exports them: planes, rows, tokens."""
    net = NetworkBuilder((3, 8, 6))
    net.conv(8, (3, 3))
    features = net.last
    rows = net.node("ReduceMean", [features], (1, 8, 8), axes=[-1], keepdims=0)
    net.node("ReduceMean", [rows], (1, 8), axes=[2], keepdims=0)
    first = net.linear(4)
    net.node("ReduceMean", [features], (1, 8, 1, 1), axes=[2, 3], keepdims=1)
    net.reshape(1, 8)
    second = net.linear(4)
    net.add(first, second)
    return net


def tokens() -> NetworkBuilder:
    """A mean over the middle axis, as vision transformers take it."""
    net = NetworkBuilder((4, 6, 5))
    net.conv(8, (3, 3))
    net.reshape(1, 8, 30)
    net.transpose(0, 2, 1)
    net.node("ReduceMean", [net.last], (1, 8), axes=[1], keepdims=0)
    net.linear(4)
    return net


# ONNX Runtime's quantiser.


def by_onnxruntime(
    network: Callable[[], NetworkBuilder],
    folder: Path,
    *,
    leave_float: str = "",
    extra: Mapping[str, Any] | None = None,
    **options: Any,
) -> Path:
    """Quantise a network statically; `options` are `quantize_static`'s."""
    net = network()
    source, target = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(net.model(), source)
    samples = np.random.default_rng(1).normal(size=(16, *net.input_shape)).astype(np.float32)
    given: dict[str, Any] = {
        "quant_format": QuantFormat.QDQ,
        "activation_type": QuantType.QInt8,
        "weight_type": QuantType.QInt8,
        "op_types_to_quantize": sorted({node.op_type for node in net.nodes} - {leave_float}),
        "extra_options": {"ForceQuantizeNoInputCheck": True, **(extra or {})},
        **options,
    }
    logging.disable(logging.WARNING)
    quantize_static(str(source), str(target), Samples(samples), **given)
    return target


def dynamically(folder: Path) -> Path:
    """Quantise with scales that are found at run time."""
    source, target = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(image().model(), source)
    logging.disable(logging.WARNING)
    quantize_dynamic(source, target, weight_type=QuantType.QUInt8)
    return target


# Other exporters.


def with_tail(
    kinds: Sequence[str], folder: Path, *, options: Mapping[str, Any] | None = None
) -> Path:
    """Write the image network with float operators behind its last DequantizeLinear."""
    path = by_onnxruntime(image, folder, **(options or {}))
    model = onnx.load(path)
    output = model.graph.output[0]
    for number, kind in enumerate(kinds):
        attributes: dict[str, Any] = (
            {"axis": 1} if kind in ("Softmax", "LogSoftmax", "ArgMax") else {}
        )
        inputs = [output.name]
        if kind == "Reshape":
            inputs.append("tail_shape")
            model.graph.initializer.append(numpy_helper.from_array(np.array([1, 5]), "tail_shape"))
        made = helper.make_node(kind, inputs, [f"tail{number}"], f"last_{kind}", **attributes)
        model.graph.node.append(made)
        output.name = f"tail{number}"
    output.type.tensor_type.ClearField("shape")
    if "ArgMax" in kinds:
        output.type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(model, path)
    return path


def without_nodes(names: Sequence[str], folder: Path) -> Path:
    """Quantise the image network but for some nodes."""
    return by_onnxruntime(image, folder, nodes_to_exclude=list(names))


def by_hand(
    folder: Path,
    *,
    clips: bool = False,
    unsigned: bool = False,
    float_weights: bool = False,
    float_bias: bool = False,
    own_bias_scale: bool = False,
    per_channel: bool = True,
    weight_offset: int = 0,
    bits: int = 8,
    transposed: bool = False,
) -> Path:
    """Write a small network node by node, as exporters of quantisation-aware training do.

    Args:
        folder: where to.
        clips: a Clip of integers follows each QuantizeLinear (QCDQ of Brevitas).
        unsigned: activations behind a ReLU are uint8 with zero point 0.
        float_weights: weights are floats in front of QuantizeLinear (AIMET, TensorRT's toolkit).
        float_bias: biases stay float.
        own_bias_scale: biases have a scale of their own, not the product of the two.
        per_channel: one scale for each output channel of weights.
        weight_offset: zero point of the weights, which become uint8 where it is above 0.
        bits: of weights, which are clipped to it.
        transposed: the linear layer's weights pass a Transpose behind DequantizeLinear.
    """
    rng = np.random.default_rng(4)
    nodes: list[onnx.NodeProto] = []
    stored: dict[str, np.ndarray] = {}
    top = 2 ** (bits - 1) - 1
    activation = np.uint8 if unsigned else np.int8

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], f"{kind}_{output}", **attributes))
        return output

    def pair(name: str, scale: float, zero: int, dtype: type = np.int8) -> str:
        stored[f"{name}_s"] = np.array(scale, np.float32)
        stored[f"{name}_z"] = np.array(zero, dtype)
        parameters = [f"{name}_s", f"{name}_z"]
        q = add("QuantizeLinear", [name, *parameters], f"{name}_q")
        if clips:
            low = 0 if dtype is np.uint8 else -127
            stored[f"{name}_low"] = np.array(low, dtype)
            stored[f"{name}_high"] = np.array(127 if low else 255, dtype)
            q = add("Clip", [q, f"{name}_low", f"{name}_high"], f"{name}_c")
        return add("DequantizeLinear", [q, *parameters], f"{name}_d")

    def weights(name: str, shape: tuple[int, ...], axis: int) -> tuple[str, np.ndarray]:
        values = rng.integers(-top, top + 1, shape)
        count = shape[axis] if per_channel else 1
        scale = rng.uniform(0.005, 0.02, count).astype(np.float32)
        dtype = np.uint8 if weight_offset else np.int8
        steps = (values + weight_offset).astype(dtype)
        zero = np.full(count, weight_offset, dtype)
        along = {"axis": axis} if per_channel else {}
        stored[f"{name}_s"] = scale if per_channel else scale.reshape(())
        stored[f"{name}_z"] = zero if per_channel else zero.reshape(())
        parameters = [f"{name}_s", f"{name}_z"]
        source = f"{name}_i"
        if float_weights:
            wide = scale.reshape([-1 if i == axis else 1 for i in range(len(shape))])
            stored[name] = (values * (wide if per_channel else scale)).astype(np.float32)
            add("QuantizeLinear", [name, *parameters], source, **along)
        else:
            stored[source] = steps
        if clips:
            stored[f"{name}_low"] = np.array(weight_offset - top, dtype)
            stored[f"{name}_high"] = np.array(weight_offset + top, dtype)
            source = add("Clip", [source, f"{name}_low", f"{name}_high"], f"{name}_c")
        return add("DequantizeLinear", [source, *parameters], f"{name}_d", **along), scale

    def bias(name: str, count: int, unit: np.ndarray) -> str:
        values = rng.normal(size=count) * 0.3
        if float_bias:
            stored[name] = values.astype(np.float32)
            return name
        scale = np.broadcast_to(unit.astype(np.float32), (count,)).copy()
        if own_bias_scale:
            scale = np.full(count, 1 / 127, np.float32)
        stored[f"{name}_i"] = np.rint(values / scale).astype(np.int32)
        stored[f"{name}_s"] = scale
        stored[f"{name}_z"] = np.zeros(count, np.int32)
        return add("DequantizeLinear", [f"{name}_i", f"{name}_s", f"{name}_z"], f"{name}_d", axis=0)

    x = pair("input", 0.03, 2)
    w, scale = weights("w", (8, 3, 3, 3), 0)
    b = bias("b", 8, np.float32(0.03) * scale)
    add("Conv", [x, w, b], "conv", pads=[1, 1, 1, 1], strides=[2, 2])
    add("Relu", ["conv"], "relu")
    hidden = pair("relu", 0.012, 0 if unsigned else -128, activation)
    add("GlobalAveragePool", [hidden], "pooled")
    pooled = pair("pooled", 0.008, 0 if unsigned else -128, activation)
    stored["shape"] = np.array([1, 8], np.int64)
    add("Reshape", [pooled, "shape"], "flat")
    flat = pair("flat", 0.008, 0 if unsigned else -128, activation)
    v, scale = weights("v", (5, 8), 0)
    if transposed:
        v = add("Transpose", [v], "v_turned", perm=[1, 0])
    c = bias("c", 5, np.float32(0.008) * scale)
    add("Gemm", [flat, v, c], "logits", transB=0 if transposed else 1)
    y = pair("logits", 0.01, 0)
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", floats, (1, 3, 8, 8))],
        [helper.make_tensor_value_info(y, floats, (1, 5))],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )
    opset = helper.make_opsetid("", 17)
    path = folder / "by_hand.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


def own_student(space: str, shape: tuple[int, ...], folder: Path) -> Path:
    """Write a random student of a search space, as `hwkd export` would."""
    from benchmarks.accuracy.c_equality import settled
    from hwkd.core.catalog import SEARCH_SPACES
    from hwkd.core.chooser import RandomChooser
    from hwkd.deploy.to_int8 import quantise_int8
    from hwkd.deploy.to_onnx import export_onnx
    from hwkd.io.discovery import discover
    from hwkd.nn.build import build_module

    discover("hwkd.search_spaces")
    found = SEARCH_SPACES.get(space)
    spec = found.suggest(RandomChooser(3), input_shape=shape, num_outputs=5)
    layers = found.layers(spec)
    source, target = folder / "student.onnx", folder / "student_int8.onnx"
    samples = np.random.default_rng(2).normal(size=(16, *shape)).astype(np.float32)
    export_onnx(settled(build_module(layers, seed=1), samples), layers, source)
    quantise_int8(source, target, samples)
    return target
