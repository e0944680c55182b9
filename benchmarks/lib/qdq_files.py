"""Int8 ONNX files as tools write them: options of ONNX Runtime, forms of other exporters, edits.

`FORMS` maps a name to a `Form`: what writes the file, and the words of the refusal that is right
for it, "" where it must be computed exactly. Networks are small and their weights random.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from benchmarks.lib.c_networks import NetworkBuilder, Samples

Change = Callable[[onnx.ModelProto], None]


@dataclass(frozen=True, kw_only=True)
class Form:
    """One file.

    Attributes:
        write: takes a folder, returns the file in it.
        refusal: words of the message where no exact form exists.
    """

    write: Callable[[Path], Path]
    refusal: str = ""


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


def changed(
    change: Change,
    folder: Path,
    *,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write the image network with a change to its int8 file."""
    path = by_onnxruntime(image, folder, per_channel=True, extra=extra)
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def _constant(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    found: onnx.TensorProto = next(i for i in model.graph.initializer if i.name == name)
    return found


def _set(model: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    _constant(model, name).CopyFrom(numpy_helper.from_array(values, name))


def _nodes(model: onnx.ModelProto, kind: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == kind]


def _parameter(model: onnx.ModelProto, conv: onnx.NodeProto, position: int) -> onnx.NodeProto:
    """Return the DequantizeLinear of a convolution's weights (1) or bias (2)."""
    found: onnx.NodeProto = next(n for n in model.graph.node if conv.input[position] in n.output)
    return found


def _bias_scale(model: onnx.ModelProto, *, factor: float) -> None:
    node = _parameter(model, _nodes(model, "Conv")[0], 2)
    scale = numpy_helper.to_array(_constant(model, node.input[1]))
    _set(model, node.input[1], (scale * np.float32(factor)).astype(np.float32))


def _bias_zero(model: onnx.ModelProto) -> None:
    node = _parameter(model, _nodes(model, "Conv")[0], 2)
    scale = numpy_helper.to_array(_constant(model, node.input[1]))
    name = node.input[2] if len(node.input) > 2 else "bias_zero"
    zero = numpy_helper.from_array(np.full(scale.shape, 5, np.int32), name)
    if len(node.input) > 2:
        _constant(model, name).CopyFrom(zero)
    else:
        node.input.append(name)
        model.graph.initializer.append(zero)


def _other_read_scale(model: onnx.ModelProto) -> None:
    """Read every second activation with 1.25 times the scale that it was written in."""
    _float_bias(model)
    read = {node.input[0] for node in _nodes(model, "DequantizeLinear")}
    for number, node in enumerate(_nodes(model, "QuantizeLinear")):
        if node.output[0] not in read or number % 2:
            continue
        scale = numpy_helper.to_array(_constant(model, node.input[1]))
        name = f"read_scale{number}"
        model.graph.initializer.append(
            numpy_helper.from_array((scale * np.float32(1.25)).astype(np.float32), name)
        )
        for reader in _nodes(model, "DequantizeLinear"):
            if reader.input[0] == node.output[0]:
                reader.input[1] = name


def _no_zero_points(model: onnx.ModelProto) -> None:
    """Leave out zero points of 0 where the integers that are read say the type."""
    for node in _nodes(model, "DequantizeLinear"):
        if not numpy_helper.to_array(_constant(model, node.input[2])).any():
            del node.input[2:]


def _negative_axes(model: onnx.ModelProto) -> None:
    for node in _nodes(model, "DequantizeLinear"):
        for attribute in node.attribute:
            stored = [item for item in model.graph.initializer if item.name == node.input[0]]
            if attribute.name == "axis" and stored:
                attribute.i -= len(stored[0].dims)


def _wrong_axis(model: onnx.ModelProto) -> None:
    """Scales of the first square convolution along its input channels."""
    conv = next(
        node
        for node in _nodes(model, "Conv")
        if (dims := _constant(model, _parameter(model, node, 1).input[0]).dims)[0] == dims[1]
    )
    next(item for item in _parameter(model, conv, 1).attribute if item.name == "axis").i = 1


def _contrib(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.domain = "com.microsoft"
    if all(item.domain != "com.microsoft" for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _identity_at_the_end(model: onnx.ModelProto) -> None:
    name = model.graph.output[0].name
    last = next(node for node in model.graph.node if name in node.output)
    last.output[0] = "before_the_end"
    model.graph.node.append(helper.make_node("Identity", ["before_the_end"], [name], "last"))


def _same_padding(model: onnx.ModelProto) -> None:
    for node in _nodes(model, "Conv"):
        kept = [item for item in node.attribute if item.name != "pads"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("auto_pad", "SAME_UPPER")])


def _computed_pads(model: onnx.ModelProto) -> None:
    """Padding as a node of its own whose amounts follow from the rank, as TorchScript writes it."""
    conv = next(iter(_nodes(model, "Conv")))
    pads = next(item for item in conv.attribute if item.name == "pads")
    quantised = next(node for node in model.graph.node if conv.input[0] in node.output)
    top, left, bottom, right = pads.ints
    pads.ints[:] = [0, 0, 0, 0]
    amounts = np.array([[0, 0, top, left], [0, 0, bottom, right]])
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in (("rows", amounts[:1]), ("none", np.array([4])), ("flat", [-1]),
                            ("axis", [0]), ("less", amounts[1]))
    )  # fmt: skip
    source = conv.input[0]
    nodes = [
        helper.make_node("ConstantOfShape", ["none"], ["zeros"], "zeros"),
        helper.make_node("Cast", ["zeros"], ["whole"], "whole", to=onnx.TensorProto.INT64),
        helper.make_node("Add", ["whole", "less"], ["ends"], "ends"),
        helper.make_node("Unsqueeze", ["ends", "axis"], ["row"], "row"),
        helper.make_node("Concat", ["rows", "row"], ["grid"], "grid", axis=0),
        helper.make_node("Reshape", ["grid", "flat"], ["pads"], "pads"),
        helper.make_node("Pad", [source, "pads"], ["wide"], "wide"),
        helper.make_node("QuantizeLinear", ["wide", *quantised.input[1:]], ["wide_q"], "wide_q"),
        helper.make_node(
            "DequantizeLinear", ["wide_q", *quantised.input[1:]], ["wide_d"], "wide_d"
        ),
    ]
    conv.input[0] = "wide_d"
    at = list(model.graph.node).index(conv)
    for offset, node in enumerate(nodes):
        model.graph.node.insert(at + offset, node)


def _decided_choice(model: onnx.ModelProto) -> None:
    """The last two nodes in a branch of an `If` whose condition is stored."""
    last = list(model.graph.node)[-2:]
    output = model.graph.output[0]
    inner = onnx.ValueInfoProto()
    inner.CopyFrom(output)
    taken = helper.make_graph(last, "taken", [], [inner])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["left"])], "other", [], [
        helper.make_tensor_value_info("left", onnx.TensorProto.FLOAT, None)])  # fmt: skip
    del model.graph.node[-2:]
    inner = taken.output[0]
    for node in taken.node:
        node.output[:] = ["inside" if name == output.name else name for name in node.output]
    inner.name = "inside"
    other.node[0].input[0] = model.graph.input[0].name
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(
        helper.make_node(
            "If", ["yes"], [output.name], "choice", then_branch=taken, else_branch=other
        )
    )


def _open_batch(model: onnx.ModelProto) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].Clear()


def _float_bias(model: onnx.ModelProto) -> None:
    """Biases as floats, as tools that quantise no bias leave them."""
    for conv in (*_nodes(model, "Conv"), *_nodes(model, "Gemm")):
        node = _parameter(model, conv, 2)
        steps, scale = (numpy_helper.to_array(_constant(model, n)) for n in node.input[:2])
        name = f"{conv.name}_float_bias"
        values = (steps.astype(np.float64) * scale).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
        conv.input[2] = name


def _zero_scale(model: onnx.ModelProto) -> None:
    _set(model, _nodes(model, "QuantizeLinear")[1].input[1], np.array(0, np.float32))


def _half_scales(model: onnx.ModelProto) -> None:
    """Scales of type float16 all over, opset 19 and later allow it."""
    model.opset_import[0].version = 19
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            scale = numpy_helper.to_array(_constant(model, node.input[1]))
            if scale.dtype == np.float32:
                _set(model, node.input[1], np.maximum(scale, 1e-4).astype(np.float16))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for item in model.graph.initializer:
        if item.data_type == onnx.TensorProto.FLOAT and "scale" not in item.name:
            _set(model, item.name, numpy_helper.to_array(item).astype(np.float16))


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


def _also_logits(model: onnx.ModelProto) -> None:
    """Give the logits and, in float, their softmax."""
    logits = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Softmax", [logits], ["probabilities"], "softmax"))
    floats = onnx.TensorProto.FLOAT
    model.graph.output.append(helper.make_tensor_value_info("probabilities", floats, (1, 5)))


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


def _ort(network: Callable[[], NetworkBuilder], *, refusal: str = "", **options: Any) -> Form:
    return Form(write=partial(by_onnxruntime, network, **options), refusal=refusal)


def _tail(*kinds: str, refusal: str = "") -> Form:
    return Form(write=partial(with_tail, kinds), refusal=refusal)


def _edit(change: Change, refusal: str = "") -> Form:
    return Form(write=partial(changed, change), refusal=refusal)


def _hand(*, refusal: str = "", **options: Any) -> Form:
    return Form(write=partial(by_hand, **options), refusal=refusal)


_U8, _S16, _U16 = QuantType.QUInt8, QuantType.QInt16, QuantType.QUInt16
FORMS: dict[str, Form] = {
    "ort/per-tensor": _ort(image),
    "ort/per-channel": _ort(image, per_channel=True),
    "ort/uint8 activations": _ort(image, activation_type=_U8),
    "ort/uint8 activations, per channel": _ort(image, activation_type=_U8, per_channel=True),
    "ort/uint8 activations and weights": _ort(
        image, activation_type=_U8, weight_type=_U8
    ),
    "ort/uint8 symmetric weights": _ort(
        image, activation_type=_U8, weight_type=_U8, extra={"WeightSymmetric": True}
    ),
    "ort/uint8 activations and weights, per channel": _ort(
        image, activation_type=_U8, weight_type=_U8, per_channel=True
    ),
    "ort/uint8 weights over time": _ort(signal, activation_type=_U8, weight_type=_U8),
    "ort/uint8 weights, attention": _ort(attention, activation_type=_U8, weight_type=_U8),
    "ort/uint8 weights, means": _ort(means, activation_type=_U8, weight_type=_U8),
    "ort/asymmetric int8 weights": _ort(image, extra={"WeightSymmetric": False}),
    "ort/asymmetric int8 weights, per channel": _ort(
        image, extra={"WeightSymmetric": False}, per_channel=True
    ),
    "ort/symmetric activations": _ort(image, extra={"ActivationSymmetric": True}),
    "ort/reduced range": _ort(image, reduce_range=True, per_channel=True),
    "ort/entropy": _ort(image, calibrate_method=CalibrationMethod.Entropy),
    "ort/percentile": _ort(image, calibrate_method=CalibrationMethod.Percentile),
    "ort/pairs around weights": _ort(image, extra={"AddQDQPairToWeight": True}, per_channel=True),
    "ort/dedicated pairs": _ort(image, extra={"DedicatedQDQPair": True}),
    "ort/contrib operators": _ort(image, extra={"UseQDQContribOps": True}, per_channel=True),
    "ort/float biases": _ort(image, extra={"QuantizeBias": False}),
    "ort/removable activations kept": _ort(image, extra={"QDQKeepRemovableActivations": True}),
    "ort/int16 activations": _ort(
        image, activation_type=_S16, refusal="int16 activations, expected 8 bits"
    ),
    "ort/uint16 activations": _ort(
        image, activation_type=_U16, refusal="uint16 activations, expected 8 bits"
    ),
    "ort/int16 weights": _ort(image, weight_type=_S16, refusal="int16 weights, expected 8 bits"),
    "ort/sums left float": _ort(image, leave_float="Add"),
    "ort/linear layer left float": _ort(image, leave_float="Gemm", refusal="(Gemm)"),
    "ort/softmax left float": _tail("Softmax"),
    "ort/flat softmax left float": _tail("Flatten", "Softmax"),
    "ort/sigmoid left float": _tail("Sigmoid"),
    "ort/log softmax and shape left float": _tail("LogSoftmax", "Reshape"),
    "ort/shape left float": _tail("Reshape"),
    "ort/largest class left float": _tail("Softmax", "ArgMax"),
    "ort/tail with arithmetic": _tail("Exp", "Softmax", refusal="gives the output as float"),
    "edit/logits and float softmax": _edit(_also_logits),
    "ort/convolution left float": Form(
        write=partial(without_nodes, ["conv8"]), refusal="'conv8' (Conv)"
    ),
    "ort/first convolution left float": Form(
        write=partial(without_nodes, ["conv0"]), refusal="'conv0' (Conv)"
    ),
    "ort/operators with quantisation inside": _ort(
        image, quant_format=QuantFormat.QOperator, refusal="quant_format=QuantFormat.QDQ"
    ),
    "ort/dynamic": Form(write=dynamically, refusal="dynamically quantised"),
    "ort/attention": _ort(attention, per_channel=True),
    "ort/attention, uint8": _ort(attention, activation_type=_U8),
    "ort/over time": _ort(signal, per_channel=True),
    "ort/over time, uint8": _ort(signal, activation_type=_U8),
    "ort/means": _ort(means, per_channel=True),
    "ort/means, uint8": _ort(means, activation_type=_U8),
    "ort/means of tokens": _ort(tokens),
    "brevitas/clips": _hand(clips=True),
    "brevitas/clips, unsigned": _hand(clips=True, unsigned=True),
    "brevitas/four-bit weights": _hand(clips=True, bits=4),
    "brevitas/float biases": _hand(clips=True, float_bias=True),
    "brevitas/own bias scale": _hand(clips=True, own_bias_scale=True, refusal="its bias has scale"),
    "brevitas/weights quantised in the graph": _hand(clips=True, float_weights=True),
    "aimet/float weights": _hand(float_weights=True, float_bias=True, per_channel=False),
    "aimet/float weights, per channel": _hand(float_weights=True, float_bias=True),
    "aimet/unsigned": _hand(float_weights=True, float_bias=True, unsigned=True),
    "aimet/uint8 weights around 128": _hand(float_bias=True, unsigned=True, weight_offset=128),
    "torch/transposed linear weights": _hand(transposed=True),
    "torch/unsigned, quantised biases": _hand(unsigned=True),
    "edit/bias in another unit": _edit(partial(_bias_scale, factor=1.5), "its bias has scale"),
    "edit/bias with a zero point": _edit(_bias_zero, "its bias has zero point 5, expected 0"),
    "edit/read with another scale": _edit(_other_read_scale),
    "edit/no zero points": Form(
        write=partial(
            changed, _no_zero_points, extra={"ActivationSymmetric": True}
        )
    ),
    "edit/negative axes": _edit(_negative_axes),
    "edit/scales along inputs": _edit(_wrong_axis, "weight scales along axis 1"),
    "edit/contrib domain": _edit(_contrib),
    "edit/identity at the end": _edit(_identity_at_the_end),
    "edit/same padding": _edit(_same_padding),
    "edit/computed amounts of a pad": _edit(_computed_pads),
    "edit/a choice that is made": _edit(_decided_choice),
    "edit/open batch": _edit(_open_batch),
    "edit/float biases": _edit(_float_bias),
    "edit/scale of 0": _edit(_zero_scale, "expected finite numbers above 0"),
    "edit/float16 scales": _edit(_half_scales, "float16"),
    **{
        f"hwkd/{space} {'x'.join(map(str, shape))}": Form(write=partial(own_student, space, shape))
        for space, shape in (
            ("depthwise", (3, 16, 16)), ("narrow_deep", (1, 12, 12)), ("plain", (3, 16, 16)),
            ("linear_attention", (3, 16, 16)), ("depthwise", (6, 64)),
        )
    },
}  # fmt: skip
