"""What each ONNX operator is as a layer; an operator without a row here has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isclose

import numpy as np

from hwkd.core.kinds import LAYER_KINDS, kind_of
from hwkd.core.registry import Registry
from hwkd.core.student import Layer
from hwkd.trace.onnx_nodes import Node
from hwkd.trace.onnx_ops import Pads, geometry
from hwkd.trace.onnx_reading import Reading, Shape
from hwkd.trace.repeats import REPEATS_ONLY, interpolates, repeats

# ONNX operator -> what takes a node of it into a reading.
READERS: Registry[Callable[[Reading, Node], None]] = Registry("ONNX operator of a layer")
# torch's normalisation divides by the root of the variance and this; files may have another.
_EPSILON = 1e-5


def _window(
    reading: Reading, node: Node, padded: Pads = (0, 0, 0, 0)
) -> dict[str, tuple[int, ...]]:
    shapes = {name: shape for name, (_, shape) in reading.source.types.items()}
    kernel, stride, own, dilation = geometry(node, shapes, reading.source.constants)
    if dilation != (1, 1) and node.kind != "Conv":
        raise reading.refused(node, f"is dilated by {dilation}, which only a convolution is")
    pads = tuple(a + b for a, b in zip(own, padded, strict=True))
    return {"kernel": kernel, "stride": stride, "pads": pads, "dilation": dilation}


def _slid(reading: Reading, node: Node, source: Shape, window: dict[str, tuple[int, ...]]) -> Shape:
    """Return height and width behind a window, which must be those of the file."""
    top, left, bottom, right = window["pads"]
    sizes = (source[1] + top + bottom, source[2] + left + right)
    steps = zip(sizes, window["kernel"], window["stride"], window["dilation"], strict=True)
    found = tuple((size - (taps - 1) * apart - 1) // step + 1 for size, taps, step, apart in steps)
    written = reading.file_shape(node.outputs[0])[1:]
    if (1,) * (2 - len(written)) + written != found:
        raise reading.refused(node, f"gives {written} positions where a layer gives {found}")
    return found


@READERS.register("Conv")
def _conv(reading: Reading, node: Node) -> None:
    weight = reading.constant(node, 1)
    if weight is None or weight.ndim not in (3, 4):
        raise reading.refused(node, "has no stored weights of one or two dimensions")
    tensor, zeros = reading.padded.get(node.inputs[0], (node.inputs[0], (0, 0, 0, 0)))
    window = _window(reading, node, zeros)
    node = replace(node, inputs=(tensor, *node.inputs[1:]))
    source = reading.image(node)
    sizes = _slid(reading, node, reading.shapes[source], window)
    name = reading.add(
        node, "conv", (source,), (len(weight), *sizes),
        groups=int(node.attributes.get("group", 1)), **window,
    )  # fmt: skip
    _keep(reading, node, name, weight.reshape(*weight.shape[:2], *window["kernel"]))


@READERS.register("ConvTranspose")
def _conv_transpose(reading: Reading, node: Node) -> None:
    weight = reading.constant(node, 1)
    attributes = node.attributes
    is_plain = attributes.get("group", 1) == 1 and not {"auto_pad", "output_shape"} & {*attributes}
    if weight is None or weight.ndim not in (3, 4) or not is_plain:
        raise reading.refused(node, "is no transposed convolution of stored weights in one group")
    window = _window(reading, node)
    source = reading.image(node)
    sizes = reading.file_shape(node.outputs[0])[1:]
    sizes = (1,) * (2 - len(sizes)) + sizes
    top, left = window["pads"][:2]
    terms = zip(reading.shapes[source][1:], window["stride"], window["kernel"], strict=True)
    whole = [(size - 1) * stride + kernel for size, stride, kernel in terms]
    cut = (top, left, whole[0] - top - sizes[0], whole[1] - left - sizes[1])
    if min(cut) < 0:
        raise reading.refused(node, "adds rows or columns that no input reaches")
    name = reading.add(
        node, "conv_transpose", (source,), (weight.shape[1], *sizes), **{**window, "pads": cut}
    )
    weight = weight.swapaxes(0, 1)
    _keep(reading, node, name, weight.reshape(*weight.shape[:2], *window["kernel"]))


@READERS.register("Gemm")
def _gemm(reading: Reading, node: Node) -> None:
    given = [node.attributes.get(key, default) for key, default in (("alpha", 1), ("beta", 1))]
    weight = reading.constant(node, 1)
    if weight is None or given != [1, 1] or node.attributes.get("transA"):
        raise reading.refused(node, "is no fully connected layer with stored weights")
    weight = weight if node.attributes.get("transB") else weight.T
    _linear(reading, node, weight)


@READERS.register("MatMul")
def _matmul(reading: Reading, node: Node) -> None:
    weight = reading.constant(node, 1)
    shape = reading.file_shape(node.outputs[0])
    if weight is None:
        reading.add(node, "matmul", (reading.plain(node), reading.plain(node, 1)), shape)
        return
    rank = len(reading.file_shape(node.inputs[0]))
    if weight.ndim != 2 or rank not in (1, 2):
        raise reading.refused(node, "multiplies stored weights by more than a list of vectors")
    _linear(reading, node, weight.T)


def _linear(reading: Reading, node: Node, weight: np.ndarray) -> None:
    """Append a product with stored weights, shape [out, in]: of a vector, or of each position.

    Of positions it is a 1x1 convolution; the channels are brought in front for it and back.
    """
    norm = reading.layer_of.get(node.inputs[0], "")
    affine = reading.affine.pop(norm, None)
    source = reading.plain(node)
    if affine is not None:
        reading.affine[norm] = affine  # others may read it, too
    shape = reading.file_shape(node.inputs[0])
    if len(shape) == 1:
        name = reading.add(node, "linear", (source,), (len(weight),))
        tokens = ""
    else:
        label, (places, channels) = node.name, shape
        x = reading.append(
            f"{label}_channels", "transpose", (source,), shape[::-1], permutation=(1, 0)
        )
        x = reading.append(f"{label}_map", "reshape", (x,), (channels, 1, places))
        name = reading.append(label, "conv", (x,), (len(weight), 1, places))
        x = reading.append(f"{label}_list", "reshape", (name,), (len(weight), places))
        tokens = reading.append(
            f"{label}_positions", "transpose", (x,), (places, len(weight)), permutation=(1, 0)
        )
        reading.layer_of[node.outputs[0]] = tokens
        reading.tokens[tokens] = name
    scale, shift = (1.0, 0.0) if affine is None else affine
    spatial = (1,) * (2 if tokens else 0)
    _keep(reading, node, name, (weight * scale).reshape(*weight.shape, *spatial))
    added = np.broadcast_to(weight @ np.broadcast_to(shift, weight.shape[1]), len(weight))
    parts = reading.weights[name]
    parts["core.bias"] = (parts["core.bias"] + added).astype(np.float32)


@READERS.register("LayerNormalization")
def _layer_norm(reading: Reading, node: Node) -> None:
    shape = reading.file_shape(node.inputs[0])
    axis, epsilon = node.attributes.get("axis", -1), float(node.attributes.get("epsilon", _EPSILON))
    if axis not in (-1, len(shape)) or epsilon > _EPSILON or any(node.outputs[1:]):
        raise reading.refused(node, f"is no normalisation along the last axis with {_EPSILON:g}")
    name = reading.add(node, "layer_norm", (reading.plain(node),), shape)
    scale, shift = reading.constant(node, 1), reading.constant(node, 2)
    shift = np.zeros(shape[-1]) if shift is None else shift
    if scale is None or scale.size != shape[-1]:
        raise reading.refused(node, "has no stored scale")
    if (scale != 1).any() or shift.any():
        reading.affine[name] = scale, shift


@READERS.register("Div")
def _divided(reading: Reading, node: Node) -> None:
    stored = reading.constant(node, 1)
    if stored is None or stored.size != 1 or not reading.scale(node, 1 / float(stored.item())):
        raise reading.refused(node, "divides by more than one number that weights before it hold")


def _keep(reading: Reading, node: Node, name: str, weight: np.ndarray) -> None:
    """Keep a layer's weight, and the bias that a node may have as its third operand."""
    bias = reading.constant(node, 2)
    channels = len(weight)
    if bias is not None:
        reading.biased.add(name)
    values = np.zeros(channels) if bias is None else np.broadcast_to(bias.reshape(-1), channels)
    reading.weights[name] = {
        "core.weight": weight.astype(np.float32),
        "core.bias": values.astype(np.float32),
    }


@READERS.register("BatchNormalization")
def _norm(reading: Reading, node: Node) -> None:
    layer = reading.open_layer(node)
    scale, shift, mean, variance = (reading.constant(node, index) for index in range(1, 5))
    is_free = layer is not None and LAYER_KINDS.get(layer.kind).has_weights and not layer.norm
    if layer is None or not is_free or scale is None or shift is None:
        raise reading.refused(node, "follows no convolution or fully connected layer of its own")
    if mean is None or variance is None:
        raise reading.refused(node, "has no stored statistics; export the model for inference")
    weights = reading.weights[layer.name]
    given = float(node.attributes.get("epsilon", _EPSILON))
    found = {
        "norm.weight": scale,
        "norm.bias": shift,
        "norm.running_mean": mean - weights.pop("core.bias"),
        "norm.running_var": np.maximum(variance + given - _EPSILON, 0.0),
    }
    weights.update({key: value.astype(np.float32) for key, value in found.items()})
    reading.layers[layer.name] = replace(layer, norm=True)
    reading.layer_of[node.outputs[0]] = layer.name


def _elementwise(reading: Reading, node: Node, *, kind: str) -> None:
    stored = [index for index in (0, 1) if reading.constant(node, index) is not None]
    if stored:
        _bias(reading, node, stored[0], kind)
        return
    names = (reading.operand(node), reading.operand(node, 1))
    if len({len(reading.shapes[name]) for name in names}) > 1:
        names = (reading.plain(node), reading.plain(node, 1))
    first, second = (reading.shapes[name] for name in names)
    if len(first) != len(second):
        raise reading.refused(node, f"joins {first} and {second}")
    reading.add(node, kind, names, tuple(map(max, first, second)))


def _bias(reading: Reading, node: Node, index: int, kind: str) -> None:
    """Take a stored summand in as the bias of the layer before."""
    node = replace(node, inputs=(node.inputs[1 - index], node.inputs[index]))
    stored = reading.constant(node, 1)
    if kind == "mul" and stored is not None and stored.size == 1:
        if reading.scale(node, float(stored.item())):
            return
        raise reading.refused(node, "multiplies by a number that no weights before it can hold")
    layer, values = reading.open_layer(node), reading.constant(node, 1)
    behind = len(reading.file_shape(node.outputs[0])) - 1
    if layer is not None and layer.name in reading.tokens:
        layer, behind = reading.layers[reading.tokens[layer.name]], 0
    is_layer = layer is not None and layer.name in reading.weights and not layer.norm
    if layer is None or values is None or kind != "add" or not is_layer:
        raise reading.refused(node, "has a stored operand that is no bias of a layer before it")
    channels, axis = layer.shape[0], values.ndim - 1 - behind
    if axis < 0 or values.size != channels or values.shape[axis] != channels:
        raise reading.refused(node, f"adds {values.shape}, not one value for each channel")
    if layer.name in reading.biased:
        raise reading.refused(node, "adds a second bias")
    reading.biased.add(layer.name)
    parts = reading.weights[layer.name]
    parts["core.bias"] = (parts["core.bias"] + values.reshape(-1)).astype(np.float32)
    reading.layer_of[node.outputs[0]] = reading.layer_of[node.inputs[0]]


def _pool(reading: Reading, node: Node, *, kind: str) -> None:
    source = reading.image(node)
    window, shape = _window(reading, node), reading.shapes[source]
    if any(window["pads"]):
        raise reading.refused(node, f"pools with padding {window['pads']}, which no layer does")
    sizes = _slid(reading, node, shape, window)
    reading.add(node, kind, (source,), (shape[0], *sizes), **window)


@READERS.register("GlobalAveragePool")
def _global_pool(reading: Reading, node: Node) -> None:
    source = reading.image(node)
    reading.add(node, "global_avg_pool", (source,), (reading.shapes[source][0], 1, 1))


@READERS.register("ReduceMean")
def _mean(reading: Reading, node: Node) -> None:
    stored = reading.constant(node, 1)
    axes = node.attributes.get("axes", ()) if stored is None else stored.reshape(-1).tolist()
    rank = len(reading.file_shape(node.inputs[0])) + 1
    if rank == 3 and [axis % rank for axis in axes] == [1]:
        node = _channels_first(reading, node)
        axes = [2]
    if rank < 3 or sorted(axis % rank for axis in axes) != list(range(2, rank)):
        raise reading.refused(node, f"is a mean over the axes {list(axes)}, not of each channel")
    _global_pool(reading, node)
    if not node.attributes.get("keepdims", 1):
        name = reading.layer_of[node.outputs[0]]
        reading.reshaped(node, name, reading.shapes[name][:1])


def _channels_first(reading: Reading, node: Node) -> Node:
    """Return a node that reads (channels, positions) where the file has them the other way."""
    source, tensor = reading.plain(node), f"{node.name}/channels first"
    shape = reading.shapes[source][::-1]
    name = f"{node.name}_channels"
    reading.layer_of[tensor] = reading.append(
        name, "transpose", (source,), shape, permutation=(1, 0)
    )
    return replace(node, inputs=(tensor, *node.inputs[1:]))


def _reshape(reading: Reading, node: Node) -> None:
    before, after = (reading.source.types[name][1] for name in (node.inputs[0], node.outputs[0]))
    if before[:1] != after[:1] or len(after) < 2:
        raise reading.refused(node, f"makes {after} of {before}, which changes the batch")
    reading.add(node, "reshape", (reading.operand(node),), after[1:])


@READERS.register("Transpose")
def _transpose(reading: Reading, node: Node) -> None:
    order = tuple(node.attributes.get("perm", ()))
    if not order or order[0] != 0:
        raise reading.refused(node, f"orders the axes {order}, which moves the batch")
    source = reading.plain(node)
    shape, axes = reading.file_shape(node.outputs[0]), tuple(axis - 1 for axis in order[1:])
    reading.add(node, "transpose", (source,), shape, permutation=axes)


@READERS.register("Slice")
def _slice(reading: Reading, node: Node) -> None:
    given = [reading.constant(node, index) for index in range(1, 5)]
    if given[0] is None or given[1] is None or (given[3] is not None and (given[3] != 1).any()):
        raise reading.refused(node, "cuts otherwise than by stored places in steps of 1")
    source, shape = reading.plain(node), reading.file_shape(node.inputs[0])
    axes = range(len(given[0])) if given[2] is None else given[2].tolist()
    cuts = []
    for start, stop, axis in zip(given[0].tolist(), given[1].tolist(), axes, strict=True):
        axis = axis % (len(shape) + 1) - 1
        if axis < 0:
            raise reading.refused(node, "cuts the batch")
        first, last, _ = slice(start, stop).indices(shape[axis])
        cuts.append((axis, first, last - first))
    for axis, first, size in cuts[:-1]:
        shape = (*shape[:axis], size, *shape[axis + 1 :])
        source = reading.append(
            f"{node.name}_{axis}", "slice", (source,), shape, axis=axis, start=first
        )
    axis, first, _ = cuts[-1]
    shape = reading.file_shape(node.outputs[0])
    reading.add(node, "slice", (source,), shape, axis=axis, start=first)


@READERS.register("Sigmoid")
def _sigmoid(reading: Reading, node: Node) -> None:
    if node.outputs[0] in reading.source.outputs and len(reading.file_shape(node.outputs[0])) == 1:
        raise reading.refused(node, "answers through a sigmoid; students answer with logits")
    reading.activate(node, "sigmoid")


@READERS.register("Concat")
def _concat(reading: Reading, node: Node) -> None:
    names = tuple(reading.plain(node, index) for index in range(len(node.inputs)))
    shape = reading.file_shape(node.outputs[0])
    reading.add(node, "concat", names, shape, axis=_axis(reading, node, None))


@READERS.register("Resize")
def _upsample(reading: Reading, node: Node) -> None:
    before, after = (reading.source.types[name][1] for name in (node.inputs[0], node.outputs[0]))
    scales = reading.constant(node, 2)
    given = () if scales is None else tuple(scales.tolist())
    factors, mode = repeats(node.attributes, before, after, given), "nearest"
    if factors is None:
        factors, mode = interpolates(node.attributes, before, after, given)
    if factors is None or len(before) not in (3, 4) or factors[:2] != (1, 1):
        raise reading.refused(node, REPEATS_ONLY)
    source = reading.image(node)
    channels, height, width = reading.shapes[source]
    down, right = factors[2:] if len(factors) == 4 else (1, *factors[2:])
    shape = (channels, height * down, width * right)
    reading.add(node, "upsample", (source,), shape, kernel=(down, right), mode=mode)


def _softmax(reading: Reading, node: Node) -> None:
    is_last = node.outputs[0] in reading.source.outputs
    if is_last and len(reading.file_shape(node.outputs[0])) == 1:
        # Students answer with logits: losses and thresholds apply a softmax of their own.
        reading.layer_of[node.outputs[0]] = reading.operand(node)
        return
    axis, shape = _axis(reading, node, -1), reading.file_shape(node.outputs[0])
    if node.kind != "Softmax" or (reading.source.opset < 13 and axis != len(shape) - 1):
        raise reading.refused(node, "is no softmax along one axis")
    reading.add(node, "softmax", (reading.plain(node),), shape, axis=axis)


def _axis(reading: Reading, node: Node, default: int | None) -> int:
    rank = len(reading.file_shape(node.outputs[0])) + 1
    axis = node.attributes.get("axis", default if reading.source.opset >= 13 else 1)
    if axis is None or axis % rank == 0:
        raise reading.refused(node, "works along the batch")
    return int(axis) % rank - 1


@READERS.register("Pad")
def _pad(reading: Reading, node: Node) -> None:
    shapes = {name: shape for name, (_, shape) in reading.source.types.items()}
    pads = geometry(node, shapes, reading.source.constants)[2]
    before, after = (reading.file_shape(name) for name in (node.inputs[0], node.outputs[0]))
    zeros = (0, pads[0] + pads[2], pads[1] + pads[3])
    kinds = {n.kind for n in reading.source.nodes if node.outputs[0] in n.inputs}
    grown = tuple(map(sum, zip(before, zeros, strict=False)))
    if len(before) != 3 or grown != after or kinds != {"Conv"}:
        raise reading.refused(node, "adds more than zeros around what a convolution reads")
    reading.padded[node.outputs[0]] = (node.inputs[0], pads)


@READERS.register("Clip")
def _clip(reading: Reading, node: Node) -> None:
    low, high = (reading.constant(node, index) for index in (1, 2))
    bounds = (
        node.attributes.get("min", -np.inf) if low is None else float(low),
        node.attributes.get("max", np.inf) if high is None else float(high),
    )
    if bounds not in ((0.0, 6.0), (0.0, np.inf)):
        raise reading.refused(node, f"clips to {bounds}; a layer does to 0 and 6, or to 0 alone")
    reading.activate(node, "relu6" if bounds[1] == 6.0 else "relu")


@READERS.register("HardSigmoid")
def _hard_sigmoid(reading: Reading, node: Node) -> None:
    slope, middle = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if not (isclose(slope, 1 / 6, abs_tol=1e-4) and isclose(middle, 0.5)):
        raise reading.refused(node, f"has the slope {slope:.3g}; a layer's hard sigmoid has 1/6")
    reading.activate(node, "hard_sigmoid")


for _kind in ("Add", "Mul"):
    READERS.register(_kind)(partial(_elementwise, kind=kind_of(_kind).layer))
for _kind in LAYER_KINDS.names():
    if LAYER_KINDS.get(_kind).is_pooling:
        READERS.register(LAYER_KINDS.get(_kind).onnx)(partial(_pool, kind=_kind))
for _kind in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
    READERS.register(_kind)(_reshape)
for _kind in ("Softmax", "LogSoftmax"):
    READERS.register(_kind)(_softmax)
READERS.register("Relu")(lambda reading, node: reading.activate(node, "relu"))
READERS.register("HardSwish")(lambda reading, node: reading.activate(node, "hard_swish"))


def stage_taps(layers: list[Layer]) -> dict[str, str]:
    """Name the places that distillation may read: ends of each size of the map, the embedding."""
    shapes = {layer.name: layer.shape for layer in layers}
    ends: list[str] = []
    for layer in layers:
        for name in layer.inputs[:1]:
            before, after = shapes.get(name, ()), layer.shape
            if len(before) == 3 and (len(after) != 3 or after[1:] < before[1:]):
                ends += [name] if max(before[1:]) > 1 and name not in ends else []
    taps = {f"stage{number}": name for number, name in enumerate(ends, start=1)}
    source = layers[-1].inputs[0]
    has_embedding = layers[-1].kind == "linear" and source in shapes
    return {**taps, "embedding": source} if has_embedding else taps
