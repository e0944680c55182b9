"""ONNX operators with stored numbers: convolutions, products, and what goes into their weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.student import Layer
from hwkd.trace.onnx_nodes import Node
from hwkd.trace.onnx_ops import Pads, geometry
from hwkd.trace.onnx_reading import Reading, Shape

# torch's normalisation divides by the root of the variance and this; files may have another.
_EPSILON = 1e-5


def window_of(
    reading: Reading, node: Node, padded: Pads = (0, 0, 0, 0)
) -> dict[str, tuple[int, ...]]:
    """Return a layer's window, as keywords of `Reading.add`."""
    shapes = {name: shape for name, (_, shape) in reading.source.types.items()}
    kernel, stride, own, dilation = geometry(node, shapes, reading.source.constants)
    if dilation != (1, 1) and node.kind != "Conv":
        raise reading.refused(node, f"is dilated by {dilation}, which only a convolution is")
    pads = tuple(a + b for a, b in zip(own, padded, strict=True))
    return {"kernel": kernel, "stride": stride, "pads": pads, "dilation": dilation}


def slid_sizes(
    reading: Reading, node: Node, source: Shape, window: dict[str, tuple[int, ...]]
) -> Shape:
    """Return height and width behind a window, which must be those of the file."""
    top, left, bottom, right = window["pads"]
    sizes = (source[1] + top + bottom, source[2] + left + right)
    steps = zip(sizes, window["kernel"], window["stride"], window["dilation"], strict=True)
    found = tuple((size - (taps - 1) * apart - 1) // step + 1 for size, taps, step, apart in steps)
    written = reading.file_shape(node.outputs[0])[1:]
    if (1,) * (2 - len(written)) + written != found:
        raise reading.refused(node, f"gives {written} positions where a layer gives {found}")
    return found


def read_conv(reading: Reading, node: Node) -> None:
    """Take in a convolution with stored weights."""
    weight = reading.constant(node, 1)
    if weight is None or weight.ndim not in (3, 4):
        raise reading.refused(node, "has no stored weights of one or two dimensions")
    tensor, zeros = reading.padded.get(node.inputs[0], (node.inputs[0], (0, 0, 0, 0)))
    window = window_of(reading, node, zeros)
    node = replace(node, inputs=(tensor, *node.inputs[1:]))
    source = reading.image(node)
    sizes = slid_sizes(reading, node, reading.shapes[source], window)
    name = reading.add(
        node, "conv", (source,), (len(weight), *sizes),
        groups=int(node.attributes.get("group", 1)), **window,
    )  # fmt: skip
    _keep(reading, node, name, weight.reshape(*weight.shape[:2], *window["kernel"]))


def read_conv_transpose(reading: Reading, node: Node) -> None:
    """Take in a transposed convolution with stored weights, of one group."""
    weight = reading.constant(node, 1)
    attributes = node.attributes
    is_plain = attributes.get("group", 1) == 1 and not {"auto_pad", "output_shape"} & {*attributes}
    if weight is None or weight.ndim not in (3, 4) or not is_plain:
        raise reading.refused(node, "is no transposed convolution of stored weights in one group")
    window = window_of(reading, node)
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


def read_gemm(reading: Reading, node: Node) -> None:
    """Take in a fully connected layer."""
    given = [node.attributes.get(key, default) for key, default in (("alpha", 1), ("beta", 1))]
    weight = reading.constant(node, 1)
    if weight is None or given != [1, 1] or node.attributes.get("transA"):
        raise reading.refused(node, "is no fully connected layer with stored weights")
    weight = weight if node.attributes.get("transB") else weight.T
    _linear(reading, node, weight)


def read_matmul(reading: Reading, node: Node) -> None:
    """Take in a product of two tensors, or with stored weights."""
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


def read_layer_norm(reading: Reading, node: Node) -> None:
    """Take in a normalisation; its scale and shift go into the weights behind it."""
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


def read_division(reading: Reading, node: Node) -> None:
    """Take a stored divisor into the weights before it."""
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


def _takes_norm(layer: Layer) -> bool:
    kind = LAYER_KINDS.get(layer.kind)
    return kind.has_weights and not kind.is_lookup


def read_norm(reading: Reading, node: Node) -> None:
    """Take stored statistics in as the normalisation of the layer before."""
    layer = reading.open_layer(node)
    scale, shift, mean, variance = (reading.constant(node, index) for index in range(1, 5))
    is_free = layer is not None and _takes_norm(layer) and not layer.norm
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


def read_stored_operand(reading: Reading, node: Node, index: int, kind: str) -> None:
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
